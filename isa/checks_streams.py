"""Rules 1 to 3: every stream read finds a value, every written value is read, and no two writes meet in one register."""

from __future__ import annotations

from isa.program import Program
from isa.timing import Burst, stream_reads, stream_writes
from isa.violations import Rule, Violation, earliest, operation_words
from isa.wiring import Touches, Wiring


def check_streams(program: Program, wiring: Wiring, limit: int) -> list[Violation]:
    """Violations of rules 1 to 3, the first `limit` of each."""
    found: list[Violation] = []
    cases: tuple[tuple[Rule, Touches, str], ...] = (
        ("meeting", wiring.missing, "there is no value to read on"),
        ("waste", wiring.wasted, "nobody reads what is put on"),
    )
    for rule, touches, words in cases:
        for k in earliest(touches.cycle, limit):
            operation, cycle = int(touches.operation[k]), int(touches.cycle[k])
            message = f"{words} {_register(program, touches, int(k), rule == 'waste')}{_elements(touches, int(k))}"
            found.append(Violation(rule, cycle, operation, message))
    first, second = wiring.collisions
    for k in earliest(second.cycle, limit):
        operation, cycle = int(second.operation[k]), int(second.cycle[k])
        other = operation_words(program.operations[int(first.operation[k])])
        message = f"two values are put on {_register(program, second, int(k), True)}: the other comes from {other}"
        found.append(Violation("collision", cycle, operation, message))
    return found


def _register(program: Program, touches: Touches, k: int, write: bool) -> str:
    op = program.operations[int(touches.operation[k])]
    bursts: list[Burst] = (stream_writes if write else stream_reads)(op, program.chip)
    burst = bursts[int(touches.stream[k])]
    return f"{burst.direction}{burst.index} at position {burst.position} in cycle {int(touches.cycle[k])}"


def _elements(touches: Touches, k: int) -> str:
    first, count = int(touches.element[k]), int(touches.count[k])
    return f" (element {first})" if count == 1 else f" (elements {first} … {first + count - 1})"
