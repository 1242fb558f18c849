"""The context that passes run in: xDSL's registry, and what a compilation has besides the IR."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func

from compiler.dialects.flow import Flow
from compiler.dialects.graph import Graph
from compiler.scheduling.device_rows import DeviceRows
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.errors import ModelFault
from isa.program import Program


@dataclass
class LockstepContext(Context):
    """`weights` has the bytes that digests in the IR stand for. Without a `chip`, passes do only what holds on every chip.
    `beside` is a program that shares the device: parameters and states of the same name lie where it has them. `device` is
    what is known of the RRAM of the chip that the program is for."""

    weights: WeightStore = field(default_factory=WeightStore)
    chip: Chip | None = None
    beside: Program | None = None
    device: DeviceRows | None = None

    def clone(self) -> LockstepContext:
        """A context with the same registrations and the same store, to which arrays are only ever added."""
        copy = LockstepContext(weights=self.weights, chip=self.chip, beside=self.beside, device=self.device)
        copy.__dict__.update(super().clone().__dict__)
        return copy


def new_context(
    weights: WeightStore | None = None,
    chip: Chip | None = None,
    beside: Program | None = None,
    device: DeviceRows | None = None,
) -> LockstepContext:
    """A context with our dialects loaded."""
    store = WeightStore() if weights is None else weights
    context = LockstepContext(weights=store, chip=chip, beside=beside, device=device)
    for dialect in (Builtin, Func, Graph, Flow):
        context.load_dialect(dialect)
    return context


def weights_of(context: Context) -> WeightStore:
    """The store of a context; an empty one for a context that has none."""
    return context.weights if isinstance(context, LockstepContext) else WeightStore()


def chip_of(context: Context) -> Chip | None:
    return context.chip if isinstance(context, LockstepContext) else None


def beside_of(context: Context) -> Program | None:
    """The program that shares the device with the one that is compiled."""
    return context.beside if isinstance(context, LockstepContext) else None


def device_of(context: Context) -> DeviceRows | None:
    """What is known of the device that the program is for."""
    return context.device if isinstance(context, LockstepContext) else None


def require_chip_of(context: Context, needed_by: str) -> Chip:
    """Raises ModelFault for a context without a chip."""
    chip = chip_of(context)
    if chip is None:
        raise ModelFault(f"{needed_by} needs a chip", hint="give --chip, a name from `lockstep chip list` or a .toml file")
    return chip
