"""Device files: the state of one chip's RRAM (`isa/rram_state.py`) in an SQLite database.

SQLite, because its commits are safe against being killed at any point, it locks a file against a second process through the
operating system (a dead one holds no lock), and anybody can look into it. Two tables: `record` (everything but rows, one JSON
text) and `block` (256 rows each), every body with its sha256 over place and content. `application_id` marks the file as ours,
`user_version` is the format.

interface: `create_device(path, state)`; `with open_device(path) as file: file.state …; file.save(contents, rows)`.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from isa.device_records import (
    RecordProblem,
    Touched,
    put_content,
    put_rows,
    put_tally,
    record_bytes,
    slice_blocks,
    state_of_record,
)
from isa.errors import DeviceFault, Location
from isa.rram_state import RramState, SliceState

FORMAT_VERSION = 1
_APPLICATION = 0x4C525244
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_SCHEMA = """
CREATE TABLE record (name TEXT PRIMARY KEY, body BLOB NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE block (kind TEXT, unit TEXT, block INTEGER, body BLOB NOT NULL, sha256 TEXT NOT NULL,
                    PRIMARY KEY (kind, unit, block));
"""
_IN_USE = "the device is in use by another process"
_HOW_MADE = "`lockstep device new D` makes one"


class DeviceFile:
    """An open device file. Nobody else can open it meanwhile."""

    def __init__(self, path: Path, connection: sqlite3.Connection, state: RramState) -> None:
        self.path, self.state = path, state
        self._connection = connection

    def save(self, contents: Touched | None = None, rows: Touched | None = None) -> None:
        """Keep the state in one transaction: all of it is in the file afterwards, or nothing. Of rows, only the blocks with
        these addresses (`contents`) and physical rows (`rows`) are written. Raises DeviceFault."""
        with _faults(self.path), self._connection:
            _write(self._connection, self.state, contents or {}, rows or {})


def create_device(path: Path, state: RramState) -> None:
    """A new device file, whole or not at all. Raises DeviceFault if there is something already, or it cannot be written."""
    if path.exists() or path.is_symlink():
        raise DeviceFault(
            "there is something of that name already", Location(str(path)), hint="give another name, or remove it"
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _faults(path):
            connection = sqlite3.connect(draft, isolation_level=None)
            try:
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
                connection.executescript(_SCHEMA)
                with connection:
                    connection.execute("BEGIN")
                    _write(connection, state, {}, {})
            finally:
                connection.close()
            os.link(draft, path)  # fails if something has come to be there, as a rename would not
    finally:
        draft.unlink(missing_ok=True)


_OPEN: set[tuple[int, int]] = set()
"""Files (device, inode) that this process has open. Whoever opens and closes one of them again, by whatever name, takes the
lock from SQLite: that is how POSIX locks are."""


@contextmanager
def open_device(path: Path) -> Generator[DeviceFile]:
    """The device in a file, locked. Raises DeviceFault: not a device file, damaged, of another version, or in use."""
    place = Location(str(path))
    if not path.is_file():
        raise DeviceFault("there is no such device file", place, hint=_HOW_MADE)
    found = path.stat()
    identity = (found.st_dev, found.st_ino)
    if identity in _OPEN:
        raise DeviceFault(_IN_USE, place)
    _check_header(path)
    _OPEN.add(identity)
    try:
        with _faults(path):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level="DEFERRED")
        try:
            with _faults(path):
                state = _locked_state(connection, path)
            yield DeviceFile(path, connection, state)
        finally:
            connection.close()
    finally:
        _OPEN.discard(identity)


def _locked_state(connection: sqlite3.Connection, path: Path) -> RramState:
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "locking_mode = EXCLUSIVE"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("BEGIN EXCLUSIVE")
    connection.commit()  # the lock stays, as locking_mode says
    _check_size(connection, path)
    try:
        return _read(connection)
    except RecordProblem as problem:
        raise DeviceFault(f"the device file does not hold what it should: {problem}", Location(str(path))) from None


def _check_header(path: Path) -> None:
    """Refuse what is not a device file of this format, before SQLite has touched it."""
    place = Location(str(path))
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except (OSError, ValueError) as error:
        raise DeviceFault(f"cannot read the device file: {error}", place) from None
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC) or int.from_bytes(header[68:72], "big") != _APPLICATION:
        raise DeviceFault("this is not a Lockstep device file, or its beginning is damaged", place, hint=_HOW_MADE)
    version = int.from_bytes(header[60:64], "big")
    if version != FORMAT_VERSION:
        age = "a newer Lockstep wrote this file" if version > FORMAT_VERSION else "no Lockstep writes this format"
        raise DeviceFault(f"{age}: its format is {version}, this Lockstep reads {FORMAT_VERSION}", place)
    if header[18:20] != b"\1\1":
        raise DeviceFault("the device file is damaged: it is not in the journal mode that Lockstep writes", place)


def _check_size(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is longer than it says. SQLite itself refuses one that is shorter."""
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    length = path.stat().st_size
    if pages * size != length:
        raise DeviceFault(
            f"the device file is damaged: it has {length:,} bytes and says that it has {pages * size:,}",
            Location(str(path)),
            hint="copy it again; a device file is changed by Lockstep alone",
        )


@contextmanager
def _faults(path: Path) -> Generator[None]:
    """What SQLite and the system say, as DeviceFaults."""
    place = Location(str(path))
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise DeviceFault(_IN_USE, place, hint="wait until that has ended; a killed one holds no lock") from None
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise DeviceFault(f"cannot write the device file: {error}", place) from None
        raise DeviceFault(f"the device file is damaged: {error}", place, hint="copy it again") from None
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        raise DeviceFault(f"the device file is damaged: {error}", place, hint="copy it again") from None
    except OSError as error:
        raise DeviceFault(f"cannot write the device file: {error.strerror or error}", place) from None


def _sum(*key: object, body: bytes) -> str:
    digest = hashlib.sha256(" ".join(map(str, key)).encode() + b"\0")
    digest.update(body)
    return digest.hexdigest()


def _write(connection: sqlite3.Connection, state: RramState, contents: Touched, rows: Touched) -> None:
    for kind, unit, block, body in slice_blocks(state, contents, rows):
        values = (kind, unit, block, body, _sum(kind, unit, block, body=body))
        connection.execute("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?)", values)
    (blocks,) = connection.execute("SELECT count(*) FROM block").fetchone()
    body = record_bytes(state, blocks)
    connection.execute("INSERT OR REPLACE INTO record VALUES ('device', ?, ?)", (body, _sum("device", body=body)))


_READERS: dict[str, Callable[[SliceState, int, bytes], None]] = {
    "content": put_content,
    "rows": put_rows,
    "tally": lambda held, _, body: put_tally(held, body),
}


def _read(connection: sqlite3.Connection) -> RramState:
    """Raises RecordProblem and what SQLite raises."""
    found = connection.execute("SELECT body, sha256 FROM record WHERE name = 'device'").fetchone()
    if found is None or not isinstance(found[0], bytes) or _sum("device", body=found[0]) != found[1]:
        raise RecordProblem("the checksum of its record does not match")
    state, blocks = state_of_record(found[0])
    for kind, unit, block, body, digest in connection.execute("SELECT kind, unit, block, body, sha256 FROM block"):
        good = isinstance(body, bytes) and _sum(kind, unit, block, body=body) == digest
        if not good or unit not in state.slices or kind not in _READERS or not isinstance(block, int) or block < 0:
            raise RecordProblem(f"the checksum of block {block!r} of {unit!r} does not match")
        _READERS[kind](state.slices[unit], block, body)
        blocks -= 1
    if blocks:
        raise RecordProblem("blocks of rows are missing")
    return state
