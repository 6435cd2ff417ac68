"""The exceptions of graphforget: one small family, each also the built-in error that it refines.

A message says what was expected, what was ``(got ...)`` and how to mend it. ``except GraphforgetError`` catches
everything that this package raises on purpose.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_BESIDE_THE_EXTRA = {"recbole": "pip install --no-deps recbole"}  # its own pins clash with current packages


class GraphforgetError(Exception):
    """Base of every error that graphforget raises on purpose."""


class InputError(GraphforgetError, ValueError):
    """A request, data set, model or setting that cannot be used; nothing was changed."""


class NotApplicable(InputError):
    """A method that cannot serve this request or model, where another method can: a sweep skips it and says so."""


class UnknownName(InputError, KeyError):
    """A name that no table knows; made by :func:`unknown`."""

    def __str__(self) -> str:
        """Return the message as it was written; ``KeyError`` alone would quote it."""
        return ValueError.__str__(self)


class MissingExtra(GraphforgetError, ImportError):
    """An optional package that is not installed; made by :func:`missing_extra`."""


class StoreError(GraphforgetError, OSError):
    """A deletion store that cannot be written, is held by another run, or is not what its manifest says it is."""


class Diverged(GraphforgetError, ArithmeticError):
    """A loss or parameter became NaN or infinite; nothing half-done is returned."""


class PeerLost(GraphforgetError, ConnectionError):
    """Another process of a distributed training died or did not answer in time."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownName:
    """Return the error for a name that is not in a table, with the nearest known one.

    Args:
        kind: what is named, in the singular: "method", "data set", "scope".
        name: what was given.
        known: the names that would have been accepted, in the order to list them.

    Example:
        >>> str(unknown("method", "d2dng", ["retrain", "d2dgn"]))
        "unknown method (got 'd2dng'); did you mean 'd2dgn'? known: retrain, d2dgn"
    """
    names = list(known)
    by_lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    hint = f"did you mean '{by_lower[near[0]]}'? " if near else ""
    return UnknownName(f"unknown {kind} (got {name!r}); {hint}known: {', '.join(names) or 'none'}")


def missing_extra(package: str, extra: str) -> MissingExtra:
    """Return the error for an optional package that is not installed, with the command that installs it.

    Args:
        package: the package as it is imported.
        extra: the extra of graphforget that brings it.

    Example:
        >>> str(missing_extra("dgl", "dgl"))
        "the package 'dgl' is needed for this; install it with: pip install 'graphforget[dgl]'"
    """
    command = f"pip install 'graphforget[{extra}]'"
    if package in _BESIDE_THE_EXTRA:
        command += f" && {_BESIDE_THE_EXTRA[package]}"
    return MissingExtra(f"the package '{package}' is needed for this; install it with: {command}", name=package)
