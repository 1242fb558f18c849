"""Files that commands write: the place is looked at before any long work, the file is there whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from isa.atomic_file import write_whole
from isa.errors import DataFault, Location


def _refuse(path: Path, reason: str) -> DataFault:
    return DataFault(f"cannot write here: {reason}", Location(str(path)))


def require_file(path: Path) -> None:
    """Raise DataFault unless a file can be written at `path`. Leaves nothing behind."""
    if path.is_dir():
        raise _refuse(path, "it is a folder; give the name of a file")
    if not path.parent.is_dir():
        reason = "is not a folder" if path.parent.exists() else "does not exist"
        raise _refuse(path, f"the folder '{path.parent}' {reason}")
    _try_folder(path, path.parent)


def require_folder(path: Path) -> None:
    """Raise DataFault unless files can be written into the folder `path`, which may still have to be made."""
    above = path
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise _refuse(path, f"'{above}' is not a folder")
    _try_folder(path, above)


def _try_folder(path: Path, folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refuse(path, error.strerror or str(error)) from None


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, making its folder if needed. Raises DataFault.

    What is there and not a regular file (a pipe, /dev/null) is written in place.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refuse(path, error.strerror or str(error)) from None
    write_whole(path.resolve(), content)
