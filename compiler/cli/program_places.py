"""Where an operation stands in the assembly text that a person gave, for faults that are found when the text is long read."""

from __future__ import annotations

import re
from pathlib import Path

from isa.checker import check, require_valid
from isa.errors import Location, ScheduleFault
from isa.program import Program

_OPERATION = re.compile(r"(?:^\s*@\s*(?P<cycle>\w+)\s+|(?:^|\|)\s*)(?P<slot>[a-z][\w.]*)")
_QUOTED = re.compile(r'"[^"]*"')


def operation_places(text: str, file: str) -> dict[tuple[int, str], Location]:
    """(cycle, slot) → place, for every operation of a text that assembles."""
    places: dict[tuple[int, str], Location] = {}
    cycle = 0
    for number, line in enumerate(text.splitlines(), 1):
        plain = _QUOTED.sub(lambda m: '"' * len(m.group()), line).partition(";")[0]
        if plain.lstrip().startswith("."):
            continue
        for found in _OPERATION.finditer(plain):
            if digits := found["cycle"]:
                cycle = int(digits, 16) if "x" in digits.lower() else int(digits)
            places[cycle, found["slot"]] = Location(file, number, found.start("slot") + 1, line)
    return places


def place_of_operation(program: Program, operation: int, source: Path) -> Location:
    """The line of assembly text that an operation was read from; the file where it is not text, or no operation is to blame."""
    if source.suffix != ".lasm" or operation < 0:
        return Location(str(source))
    op = program.operations[operation]
    places = operation_places(source.read_text(encoding="utf-8"), str(source))
    return places.get((op.cycle, op.slot), Location(str(source)))


def require_valid_file(program: Program, source: Path) -> None:
    """Raise ScheduleFault, with its place in the source, unless the program keeps every rule of its chip."""
    try:
        require_valid(program)
    except ScheduleFault as fault:
        fault.location = place_of_operation(program, check(program, 1)[0].operation, source)
        raise
