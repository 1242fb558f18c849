"""The two programs of a model, compiled once: kept in a folder of the user's under what they were made from."""

from __future__ import annotations

import hashlib
import os
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
    first_only: bool = False
    """Whether no prompt is longer than a bucket: prefill then looks at no older keys, which makes it shorter."""
    decoder: Path = DECODER

    def reading(self, rows: int) -> Reading:
        from compiler.frontend import Settings

        constants = {**self.model.constants, "CONTEXT": self.context, "ROWS": rows}
        constants["FIRST"] = int(self.first_only and rows > 1)
        return Reading(self.precision, settings=Settings(constants, {"model.gguf": self.model.weights}))

    def key(self) -> str:
        """sha256 of everything that both programs depend on: weights, decoder, numbers, chip, and Lockstep itself."""
        digest = hashlib.sha256()
        for file in (*self.model.files, self.decoder, *sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        digest.update(f"{self.precision} {self.context} {self.chip.digest}".encode())
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

    def program(name: str, rows: int, beside: Program | None) -> Program:
        file = folder / f"{name}.lbin"
        if file.exists():
            say(f"loading the {name} program")
            return load_program(file)
        from compiler.session import compile_source

        say(f"compiling the {name} program")
        found = compile_source(wanted.decoder, wanted.chip, wanted.reading(rows), beside=beside).program
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, program_bytes(found))
        except OSError:
            file.unlink(missing_ok=True)  # a full disk costs the next run a compilation, nothing else
        return found

    decode = program("decode", 1, None)
    if wanted.bucket == 1:
        return decode, None
    kind = "first" if wanted.first_only else "prefill"
    return decode, program(f"{kind}-{wanted.bucket}", wanted.bucket, decode)
