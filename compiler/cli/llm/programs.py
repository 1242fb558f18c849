"""The two programs of a model, compiled once: kept in a folder of the user's under what they were made from."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.cli.llm.model import Model
from compiler.declare import Precision, Reading
from isa.chip import Chip
from isa.errors import DataFault

if TYPE_CHECKING:
    from isa.program import Program

ROOT = Path(__file__).resolve().parents[3]
DECODER = ROOT / "samples" / "smollm2" / "decoder.lks"
PACKAGES = ("compiler", "isa", "sim")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be compiled. `context` are the positions that the chip keeps, `bucket` those that prefill takes at once."""

    model: Model
    chip: Chip
    precision: Precision
    context: int
    bucket: int
    decoder: Path = DECODER

    def reading(self, rows: int) -> Reading:
        from compiler.frontend import Settings

        constants = {**self.model.constants, "CONTEXT": self.context, "ROWS": rows}
        return Reading(self.precision, settings=Settings(constants, {"model.gguf": self.model.path}))

    def key(self) -> str:
        """sha256 of everything that the programs depend on: weights, decoder, numbers, chip, and Lockstep itself."""
        digest = hashlib.sha256()
        for file in (self.model.path, self.decoder, *sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        digest.update(f"{self.precision} {self.context} {self.bucket} {self.chip.digest}".encode())
        return digest.hexdigest()[:32]


def cache_folder() -> Path:
    """`lockstep` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "lockstep"


def programs(wanted: Wanted, say: Callable[[str], None]) -> tuple[Program, Program | None]:
    """Decode and prefill programs, from the cache or compiled; None for a bucket of one. Raises ToolchainError."""
    from isa.atomic_file import write_whole
    from isa.container import load_program, program_bytes

    if not wanted.decoder.exists():
        raise DataFault(f"there is no decoder '{wanted.decoder}'", hint="run from a copy of the project's repository")
    folder = cache_folder() / wanted.key()
    files = [folder / "decode.lbin", *([folder / "prefill.lbin"] if wanted.bucket > 1 else [])]
    if all(file.exists() for file in files):
        say("loading compiled programs")
        found = [load_program(file) for file in files]
        return found[0], found[1] if len(found) > 1 else None
    from compiler.session import compile_source

    say("compiling the decode program")
    decode = compile_source(wanted.decoder, wanted.chip, wanted.reading(1)).program
    prefill = None
    if wanted.bucket > 1:
        say("compiling the prefill program")
        prefill = compile_source(wanted.decoder, wanted.chip, wanted.reading(wanted.bucket), beside=decode).program
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, program in zip(files, (decode, prefill), strict=False):
            if program is not None:
                write_whole(file, program_bytes(program))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)  # a full disk costs the next run a compilation, nothing else
    return decode, prefill
