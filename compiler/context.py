"""The context that passes run in: xDSL's registry, and what a compilation has besides the IR."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func

from compiler.dialects.graph import Graph
from compiler.weights import WeightStore
from isa.chip import Chip


@dataclass
class LockstepContext(Context):
    """`weights` has the bytes that digests in the IR stand for. Without a `chip`, passes do only what holds on every chip."""

    weights: WeightStore = field(default_factory=WeightStore)
    chip: Chip | None = None

    def clone(self) -> LockstepContext:
        """A context with the same registrations and the same store, to which arrays are only ever added."""
        copy = LockstepContext(weights=self.weights, chip=self.chip)
        copy.__dict__.update(super().clone().__dict__)
        return copy


def new_context(weights: WeightStore | None = None, chip: Chip | None = None) -> LockstepContext:
    """A context with the dialects of a graph program loaded."""
    context = LockstepContext(weights=WeightStore() if weights is None else weights, chip=chip)
    for dialect in (Builtin, Func, Graph):
        context.load_dialect(dialect)
    return context


def weights_of(context: Context) -> WeightStore:
    """The store of a context; an empty one for a context that has none."""
    return context.weights if isinstance(context, LockstepContext) else WeightStore()


def chip_of(context: Context) -> Chip | None:
    return context.chip if isinstance(context, LockstepContext) else None
