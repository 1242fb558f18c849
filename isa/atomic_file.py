"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from isa.errors import DataFault, Location


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file beside its place, then rename it there. What stood there before stays if anything fails.

    Raises DataFault if the folder is missing or cannot be written.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataFault(f"cannot write the file: {reason}", Location(str(target))) from None
