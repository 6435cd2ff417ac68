"""Time that never runs backwards within a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

Now = Callable[[], datetime]


def wall() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(timezone.utc)


def after(now: datetime, last: str) -> tuple[str, bool]:
    """The time to write down, not before the last one written, and whether the clock was set back.

    Args:
        now: what the clock says.
        last: the last time written, ISO 8601, or "".

    Example:
        >>> early = datetime(2026, 11, 21, tzinfo=timezone.utc)
        >>> after(early, "2026-11-21T00:00:05.000+00:00")
        ('2026-11-21T00:00:05.000+00:00', True)
    """
    text = now.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    return (last, True) if text < last else (text, False)
