"""The two programs of a model, compiled once and kept in the cache (`compiler.cache`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compiler import cache
from compiler.cli.llm.model import Model
from compiler.declare import Precision, Reading
from isa.chip import Chip
from isa.errors import DataFault

if TYPE_CHECKING:
    from isa.program import Program

ROOT = Path(__file__).resolve().parents[3]
DECODER = ROOT / "samples" / "smollm2" / "decoder.lks"


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

    def key(self, name: str) -> str | None:
        """The name of a program in the cache: it follows from weights, decoder, numbers, chip, and Lockstep itself."""
        numbers = (name, self.precision, self.context, self.chip.name, self.chip.digest)
        return cache.key_of_files((*self.model.files, self.decoder), repr(numbers))


def programs(wanted: Wanted, say: Callable[[str], None]) -> tuple[Program, Program | None]:
    """Decode and prefill programs, from the cache or compiled; None for a bucket of one. Raises ToolchainError."""
    if not wanted.decoder.exists():
        raise DataFault(f"there is no decoder '{wanted.decoder}'", hint="run from a copy of the project's repository")

    def program(name: str, rows: int, beside: Program | None) -> Program:
        say(f"loading the {name} program")
        key = wanted.key(name)
        found = cache.find(key)
        if found is None:
            from compiler.session import compile_source

            say(f"compiling the {name} program")
            found = compile_source(wanted.decoder, wanted.chip, wanted.reading(rows), beside=beside).program
            cache.keep(key, found)
        return found

    decode = program("decode", 1, None)
    if wanted.bucket == 1:
        return decode, None
    kind = "first" if wanted.first_only else "prefill"
    return decode, program(f"{kind}-{wanted.bucket}", wanted.bucket, decode)
