"""Files that appear under their name only once they are whole: a crash leaves what was there before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; it takes the name when the block ends well, and goes when it does not.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole(Path(folder) / "note.txt") as part:
        ...         size = part.write_text("all of it")
        ...     [each.name for each in Path(folder).iterdir()]
        ['note.txt']
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
