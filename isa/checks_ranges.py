"""Rule 8: everything an operation names is on the chip. What passes here can be expanded safely by the other checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isa.chip import Chip, Slot
from isa.form import operation_problem
from isa.program import Operation, Program, Stream
from isa.spec import BY_MNEMONIC, BYTES, MASK
from isa.timing import weight_type
from isa.violations import Violation

LAST_CYCLE = 1 << 40
"""No program is that long; (memory word, cycle) fits 64 bits up to here."""


def check_ranges(program: Program, limit: int) -> list[Violation]:
    """Violations of rule 8, at most about `limit` of them."""
    found: list[Violation] = []
    for i, op in enumerate(program.operations):
        for message in operation_problems(op, program.chip):
            found.append(Violation("range", op.cycle, i, message))
        if len(found) >= limit:
            break
    return found


def operation_problems(op: Operation, chip: Chip) -> Iterator[str]:
    """What is wrong with one operation, whatever the others do."""
    slot = chip.slots.get(op.slot)
    if slot is not None and slot.unit.kind == "rram" and op.mnemonic in ("write", "scatter"):
        yield f"{op.mnemonic} in {op.slot}: a running program cannot write RRAM"
        return
    problem = operation_problem(op, chip)
    if problem:
        yield problem
        return
    if op.cycle > LAST_CYCLE:
        yield f"cycle {op.cycle} is more than {LAST_CYCLE}"
    slot = chip.slots[op.slot]
    special = _SPECIAL.get(op.mnemonic)
    if special:
        yield from special(op, slot, chip)
    elif slot.port == "vxm":
        yield from _vector_problems(op, chip)


def _vector_problems(op: Operation, chip: Chip) -> Iterator[str]:
    if op.fields.get("delay", 0) > chip.vxm.max_delay:
        yield f"delay {op.get('delay')} is more than the chip's {chip.vxm.max_delay}"
    if op.rep % op.fields.get("group", 1):
        yield f"rep {op.rep} is not a multiple of group {op.fields['group']}"


def _addressed(op: Operation, slot: Slot, chip: Chip) -> Iterator[str]:
    words = chip.words(slot.unit.name)
    first = op.get("addr")
    last = first + (op.rep - 1) * op.get("step")
    if not (0 <= first < words and 0 <= last < words):
        yield f"addresses {first} … {last} are not within 0 … {words - 1} of {slot.unit.name}"
    if op.mnemonic == "write":
        mask, superlanes = op.get("mask"), chip.lanes // chip.superlane
        if mask != MASK.high and not 0 < mask < 1 << superlanes:
            yield f"mask {mask:#x} must name at least one of the {superlanes} superlanes and no other"


def _indexed(op: Operation, slot: Slot, chip: Chip) -> Iterator[str]:
    base, count, words = op.get("base"), op.get("limit"), chip.words(slot.unit.name)
    if count < 1 or base + count > words:
        yield f"{count} words from {base} are not within 0 … {words - 1} of {slot.unit.name}"


def _mode_problems(op: Operation, slot: Slot, chip: Chip) -> Iterator[str]:
    mode = mode_name(op)
    if mode not in chip.mxm.modes:
        yield f"chip {chip.name} has no mode {mode}"
    elif mode != "i8" and chip.planes.index(slot.unit) % 2:
        yield f"mode {mode} is issued on the even plane of a pair, not on {slot.unit.name}"


def mode_name(op: Operation) -> str:
    """The mode of an MXM operation."""
    return op.row.fields[0].choices[op.get("mode")]


def _load(op: Operation, slot: Slot, chip: Chip) -> Iterator[str]:
    yield from _mode_problems(op, slot, chip)
    width, streams, count = BYTES[weight_type(op)], op.get("streams"), op.get("count")
    transposed = op.get("transposed")
    if transposed and not chip.mxm.transposed_load:
        yield f"chip {chip.name} has no transposed load"
    if not 1 <= streams <= chip.mxm.load_streams or streams % width:
        yield f"{streams} streams are loaded; it must be 1 … {chip.mxm.load_streams}, and a multiple of {width}"
        return
    last = op.get("row") + count
    room = chip.lanes if transposed else chip.depth(mode_name(op))
    if count < 1 or last > room:
        yield f"{'columns' if transposed else 'rows'} {op.get('row')} … {last - 1} are not within 0 … {room - 1}"
    rows = streams // width
    if not (op.rep - 1) * rows < count <= op.rep * rows:
        yield f"{count} rows at {rows} a dispatch take {-(-count // rows)} dispatches, not {op.rep}"


def _feed(op: Operation, slot: Slot, chip: Chip) -> Iterator[str]:
    yield from _mode_problems(op, slot, chip)
    mode = mode_name(op)
    source, result = ("i8", "i32") if mode == "i8" else ("f16", "f32")
    for stream, wanted in zip((*op.sources, op.result), (source, result), strict=True):
        if isinstance(stream, Stream) and stream.type != wanted:
            yield f"mode {mode} takes {source} and gives {result}, not {stream.type}"
    if not 1 <= op.get("depth") <= chip.depth(mode):
        yield f"depth {op.get('depth')} is not in 1 … {chip.depth(mode)}"
    if op.get("lane") + op.get("depth") > chip.lanes:
        yield f"lanes {op.get('lane')} … {op.get('lane') + op.get('depth') - 1} are not within 0 … {chip.lanes - 1}"
    if op.get("acc") + op.rep > chip.mxm.accumulators:
        last = op.get("acc") + op.rep - 1
        yield f"accumulator entries {op.get('acc')} … {last} are not within 0 … {chip.mxm.accumulators - 1}"


def _lane_move(op: Operation, slot: Slot, chip: Chip) -> Iterator[str]:
    data = [s for o, s in zip(op.row.sources, op.sources, strict=True) if isinstance(s, Stream) and o.name != "map"]
    if op.result is not None and any(s.type != op.result.type for s in data):
        yield f"{op.mnemonic} moves bytes untouched: operands and result must have one type"
    for name, low, high in (("lanes", 1, chip.lanes), ("split", 0, chip.lanes), ("lane", 0, chip.lanes - 1)):
        if name in op.fields and not low <= op.fields[name] <= high:
            yield f"{name} {op.fields[name]} is not in {low} … {high}"


_SPECIAL: dict[str, Callable[[Operation, Slot, Chip], Iterator[str]]] = {
    "read": _addressed,
    "write": _addressed,
    "gather": _indexed,
    "scatter": _indexed,
    "load": _load,
    "swap": _mode_problems,
    "feed": _feed,
} | {name: _lane_move for name, row in BY_MNEMONIC.items() if row.ports == ("sxm",)}
