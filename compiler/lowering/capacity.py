"""Whether a model can fit a chip at all, from its tensors' sizes alone: asked before any work is done.

Only what must certainly be in memory counts, so nothing that could be compiled is refused; whether the rest fits too, placement
finds out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Literal

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects.graph import ConstantOp, GatherOp, InputOp, MatmulOp, OutputOp, ParamOp, StateOp, Tensor
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place
from isa.chip import Chip, load_chip, preset_names
from isa.errors import Location, ModelFault
from isa.spec import BYTES, ElementType

NAMED = 3
"""How many of the biggest tensors a refusal names."""


@dataclass(frozen=True, slots=True)
class Need:
    """A tensor that must be in memory as a whole. `place` is where the source declares it."""

    what: str
    tensor: Tensor
    place: Location | None

    def footprint_bytes(self, chip: Chip) -> int:
        """Bytes of memory: every row takes whole vectors."""
        columns = self.tensor.shape[-1] if self.tensor.shape else 1
        return prod(self.tensor.shape[:-1]) * -(-columns // chip.lanes) * chip.lanes * BYTES[self.tensor.type]


def require_room(module: ModuleOp, chip: Chip) -> None:
    """Raises ModelFault where weights, or what the host sets or reads, take more memory than the chip has.

    The program may be declared or decomposed. The fault names the need, what there is, and the biggest tensors.
    """
    ops = list(main_block(module).ops)
    weights = list({key: need for op in ops if isinstance(op, ParamOp) for key, need in _weights(op)}.values())
    values = [need for op in ops if isinstance(op, ParamOp) for need in _elementwise(op)]
    states = [Need(f"state '{op.label}'", op.tensor, source_place(op.location)) for op in ops if isinstance(op, StateOp)]
    inputs = [Need(f"input '{op.label}'", op.tensor, source_place(op.location)) for op in ops if isinstance(op, InputOp)]
    outputs = [Need(f"output '{op.label}'", op.tensor, source_place(op.location)) for op in ops if isinstance(op, OutputOp)]
    stay = [*values, *states]
    if chip.rram:
        _require("weights need", weights, "rram", chip)
    else:
        stay += weights
    _require("inputs, states and parameters need", [*inputs, *stay], "sram", chip)
    _require("outputs, states and parameters need", [*outputs, *stay], "sram", chip)


def _weights(op: ParamOp) -> Iterable[tuple[tuple[str, str], Need]]:
    """A parameter as a matrix to load or a table to look things up in, once for each way of lying in memory."""
    tensor, place = op.tensor, source_place(op.location)
    for user in _computing_users(op):
        if isinstance(user, MatmulOp) and user.b == op.result:
            shape = list(tensor.shape)
            if user.transpose_b:
                shape[-2:] = reversed(shape[-2:])
            # An f32 product may be computed in f16, with half the bytes.
            kind: ElementType = "f16" if tensor.type == "f32" else tensor.type
            yield (op.digest.data, f"matrix {shape}"), Need(f"parameter '{op.label}'", Tensor(kind, tuple(shape)), place)
        elif isinstance(user, GatherOp) and user.table == op.result:
            shape = tensor.shape if len(tensor.shape) > 1 else (*tensor.shape, 1)
            yield (op.digest.data, "table"), Need(f"parameter '{op.label}'", Tensor(tensor.type, shape), place)


def _elementwise(op: ParamOp) -> list[Need]:
    """A parameter that meets computed values element by element, and so lies in SRAM."""
    for user in _computing_users(op):
        as_weights = (isinstance(user, MatmulOp) and user.b == op.result) or isinstance(user, GatherOp)
        if not as_weights and op.tensor.shape == _result_shape(user):
            return [Need(f"parameter '{op.label}'", op.tensor, source_place(op.location))]
    return []


def _result_shape(op: Operation) -> tuple[int, ...]:
    tensor = getattr(op, "tensor", None)
    return tensor.shape if isinstance(tensor, Tensor) else ()


def _computing_users(op: ParamOp) -> list[Operation]:
    """Users that cannot be computed at compile time, for they have an operand that is not known."""

    def known(value: SSAValue) -> bool:
        return isinstance(value.owner, (ParamOp, ConstantOp))

    return [use.operation for use in op.result.uses if not all(known(o) for o in use.operation.operands)]


def _require(what: str, needs: list[Need], memory: Literal["sram", "rram"], chip: Chip) -> None:
    capacity = sum(chip.words(unit.name) for unit in chip.slices(memory)) * chip.lanes
    sizes = sorted(((need.footprint_bytes(chip), need) for need in needs), key=lambda pair: -pair[0])
    total = sum(size for size, _ in sizes)
    if total <= capacity:
        return
    notes = [f"{need.what} takes {size:,} bytes ({need.tensor}{_at(need.place)})" for size, need in sizes[:NAMED]]
    if len(sizes) > NAMED:
        notes.append(f"{len(sizes) - NAMED} more take {sum(size for size, _ in sizes[NAMED:]):,} bytes")
    raise ModelFault(
        f"the model does not fit chip {chip.name}: {what} {total:,} bytes of {memory.upper()}, there are {capacity:,}",
        sizes[0][1].place,
        notes=(
            f"that is {total - capacity:,} bytes too much; {_larger(chip, memory, [need for _, need in sizes])}",
            *notes,
            f"every row of a tensor takes whole vectors of {chip.lanes} elements",
        ),
        hint="choose a chip with more memory (lockstep chip list), use a narrower element type, or split the model",
    )


def _larger(chip: Chip, memory: Literal["sram", "rram"], needs: list[Need]) -> str:
    """The presets that would hold this. Weights lie in SRAM only where a chip has no RRAM."""

    def holds(other: Chip) -> bool:
        kinds = ("sram", "rram") if memory == "sram" and not chip.rram else (memory if other.rram else "sram",)
        capacity = sum(other.words(unit.name) for kind in kinds for unit in other.slices(kind)) * other.lanes
        return sum(need.footprint_bytes(other) for need in needs) <= capacity

    names = [name for name in preset_names() if name != chip.name and holds(load_chip(name))]
    return f"{' and '.join(names)} would hold it" if names else "no chip that comes with Lockstep holds it"


def _at(place: Location | None) -> str:
    return f", {place}" if place else ""
