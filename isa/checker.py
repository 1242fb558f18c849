"""The judge: proves from the instruction table and the chip alone that a program breaks no rule of its chip.

The rules are those of docs/architecture.md, section 2. The judge knows nothing of compiler or machines.
"""

from __future__ import annotations

from isa.checks_images import check_images
from isa.checks_load_streams import check_load_streams
from isa.checks_memory import check_banks, check_halves
from isa.checks_mxm import check_weights
from isa.checks_ranges import check_ranges
from isa.checks_slots import check_order, check_slots
from isa.checks_streams import check_streams
from isa.checks_sums import check_sums
from isa.checks_words import check_words
from isa.dispatches import collect_dispatches
from isa.errors import ScheduleFault
from isa.memory_words import collect_accesses
from isa.program import Program
from isa.violations import Violation, place_of
from isa.wiring import Wiring, resolve

NOTES = 5
"""Further violations that a message lists."""


def check(program: Program, limit: int = 100) -> list[Violation]:
    """The first violations, in order of cycle; none for a legal program. Operations that are outside the chip, and images or
    symbols outside memory, are reported alone: nothing else can be said of such a program."""
    return _judge(program, limit)[0]


def require_valid(program: Program) -> Wiring:
    """The wiring of a legal program. Raises ScheduleFault that names the first violations and their operations."""
    violations, wiring = _judge(program, NOTES + 1)
    if wiring is None or violations:
        lines = [_sentence(program, v) for v in violations]
        raise ScheduleFault(lines[0], notes=tuple(lines[1:]), hint=_HINTS.get(violations[0].rule, ""))
    return wiring


def _judge(program: Program, limit: int) -> tuple[list[Violation], Wiring | None]:
    malformed = check_ranges(program, limit) + check_images(program)
    if malformed:
        return _first(malformed, limit), None
    dispatches = collect_dispatches(program)
    accesses = collect_accesses(program, dispatches)
    wiring = resolve(program)
    found = check_order(program, dispatches, limit)
    found += check_slots(program, dispatches, limit)
    found += check_streams(program, wiring, limit)
    found += check_halves(program, accesses, limit)
    found += check_banks(program, accesses, limit)
    found += check_words(program, dispatches, accesses, limit)
    found += check_weights(program, dispatches, limit)
    found += check_sums(program, dispatches, limit)
    found += check_load_streams(program, dispatches, limit)
    return _first(found, limit), wiring


def _first(violations: list[Violation], limit: int) -> list[Violation]:
    unique = dict.fromkeys(violations)
    return sorted(unique, key=lambda v: (v.cycle, v.operation, v.rule, v.message))[:limit]


def _sentence(program: Program, violation: Violation) -> str:
    place = place_of(program, violation.operation)
    when = f"cycle {violation.cycle}: " if violation.operation >= 0 else ""
    return f"{when}{violation.message}" + (f"; operation {place}" if place else "")


_HINTS: dict[str, str] = {
    "meeting": "a value shown at cycle t is d hops further on at t + d; dispatch + skew of the reader must be that cycle",
    "waste": "every value on a stream must be read before it leaves the chip or is replaced",
    "rram": "consecutive addresses of an RRAM slice rotate over its banks",
    "sram": "a slice reads one half and writes another in a cycle; a written word can be read once the latency has passed",
}
