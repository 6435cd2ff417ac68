"""The unlearning history of a model, as a section of its model card.

The section stands between two markers; putting it in again replaces it and touches nothing else, so that a card can be
patched after every version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from graphforget.deletion.dossier import VersionLine
from graphforget.deletion.files import write
from graphforget.errors import InputError

START, END = "<!-- unlearning history: start -->", "<!-- unlearning history: end -->"
OUTCOME = {"pass": "pass", "inconclusive": "inconclusive", "fail": "fail", None: "not verified"}
NOTE = (
    "Data were deleted from this model after training. Each line is one version; the verdict holds the model against "
    "models retrained without the data, by limits declared beforehand, and is a measurement, not a guarantee."
)


def section(versions: Sequence[VersionLine], out_of_scope: Sequence[str] = ()) -> str:
    """Return the section.

    Args:
        versions: oldest first; those that forgot nothing are left out.
        out_of_scope: what the deletions do not reach.

    Example:
        >>> print(section([VersionLine(name="v2", created_at="2026-01-02T03:04:05Z", method="utu", requests=3)]))
        <!-- unlearning history: start -->
        ## Unlearning history
        <BLANKLINE>
        Data were deleted from this model after training. Each line is one version; ...
        <BLANKLINE>
        | version | date | requests | method | verdict | weights (SHA-256) |
        |---|---|---:|---|---|---|
        | v2 | 2026-01-02 | 3 | utu | not verified | - |
        <!-- unlearning history: end -->
    """
    lines = [START, "## Unlearning history", ""]
    told = [each for each in versions if each.requests]
    if not told:
        lines += ["No data were deleted from this model after training."]
    else:
        lines += [NOTE, "", "| version | date | requests | method | verdict | weights (SHA-256) |"]
        lines += ["|---|---|---:|---|---|---|", *(_row(each) for each in told)]
    if out_of_scope:
        lines += ["", "Not covered: " + "; ".join(map(_plain, out_of_scope)) + "."]
    return "\n".join([*lines, END])


def patch(text: str, versions: Sequence[VersionLine], out_of_scope: Sequence[str] = ()) -> str:
    """Return a model card with the section in it: in place of the old one, else at its end.

    Args:
        text: the card, with or without YAML front matter.
        versions: oldest first.
        out_of_scope: what the deletions do not reach.

    Raises:
        InputError: one marker without the other, or a marker twice.

    Example:
        >>> card = patch("# A model", [])
        >>> patch(card, []) == card, card.startswith("# A model")
        (True, True)
    """
    starts, ends = text.count(START), text.count(END)
    new = section(versions, out_of_scope)
    if (starts, ends) == (0, 0):
        return text.rstrip("\n") + "\n\n" * bool(text.strip()) + new + "\n"
    if (starts, ends) != (1, 1) or text.index(START) > text.index(END):
        raise InputError(
            f"the card must hold both markers once, in order (got {starts} of {START!r} and {ends} of {END!r}); "
            "remove what is left of the old section"
        )
    return text[: text.index(START)] + new + text[text.index(END) + len(END) :]


def patch_file(path: str | Path, versions: Sequence[VersionLine], out_of_scope: Sequence[str] = ()) -> bool:
    """Patch a model card on disk, making it if it is not there; says whether it changed.

    Args:
        path: of the card, usually README.md.
        versions: oldest first.
        out_of_scope: what the deletions do not reach.

    Raises:
        InputError: see :func:`patch`; or the card is not UTF-8.
    """
    file = Path(path)
    try:
        old = file.read_text(encoding="utf-8") if file.exists() else ""
    except UnicodeDecodeError as error:
        raise InputError(f"the card {str(file)!r} must be UTF-8 (got {error.reason}); save it as UTF-8") from error
    new = patch(old, versions, out_of_scope)
    if new == old:
        return False
    write(file, new.encode())
    return True


def _row(version: VersionLine) -> str:
    weights = f"`{version.sha256[:16]}`" if version.sha256 else "-"
    state = "" if version.state in ("current", "kept") else f" ({version.state.replace('_', ' ')})"
    cells = [version.name + state, version.created_at[:10], str(version.requests), version.method or "-"]
    return "| " + " | ".join([*map(_plain, cells), OUTCOME[version.outcome], weights]) + " |"


def _plain(text: str) -> str:
    """Words that neither break a table nor are taken for markup."""
    return re.sub(r"([\\|<>\[\]`*_])", r"\\\1", " ".join(text.split()))
