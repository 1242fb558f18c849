"""A graph-dialect module as a whole: its one function, its interface, and the rules no single operation can check."""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.dialects.builtin import LocationAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region

from compiler.dialects.graph_base import NamedOp, SinkOp
from compiler.dialects.graph_types import source_place
from compiler.dialects.graph_values import InputOp, OutputOp, ParamOp, StateOp, UpdateOp
from isa.errors import ModelFault


def new_program(operations: Iterable[Operation]) -> ModuleOp:
    """A module with `func.func @main` that holds the operations, and `func.return`."""
    return ModuleOp([FuncOp("main", ((), ()), Region(Block([*operations, ReturnOp()])))])


def main_block(module: ModuleOp) -> Block:
    """The block of `@main`. Raises ModelFault when there is not exactly one block, or when it has arguments."""
    for op in module.body.block.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == "main":
            if len(op.body.blocks) != 1 or op.body.block.args:
                raise ModelFault("@main must be one block without arguments", source_place(op.location))
            return op.body.block
    raise ModelFault("the module has no function @main")


def check_program(module: ModuleOp) -> None:
    """Names are used once, every update has its state, something comes out. Raises ModelFault with the source place."""
    seen: dict[tuple[str, str], NamedOp | SinkOp] = {}
    for op in main_block(module).ops:
        if not isinstance(op, NamedOp | SinkOp):
            continue
        kind = op.name.removeprefix("graph.")
        if (kind, op.label) in seen:
            raise _fault(f"two of {kind} have the name '{op.label}'", op.location)
        seen[kind, op.label] = op
    for (kind, name), op in seen.items():
        if kind != "update":
            continue
        state = seen.get(("state", name))
        if state is None:
            raise _fault(f"update of '{name}': there is no such state", op.location)
        if state.tensor != op.tensor:
            raise _fault(f"update of '{name}' with {op.tensor}: the state is {state.tensor}", op.location)
    if not any(isinstance(op, OutputOp | UpdateOp) for op in seen.values()):
        raise ModelFault("nothing comes out of the program: it has no output and updates no state")


def _fault(message: str, location: LocationAttr) -> ModelFault:
    return ModelFault(message, source_place(location))


def inputs(module: ModuleOp) -> dict[str, InputOp]:
    return {op.label: op for op in main_block(module).ops if isinstance(op, InputOp)}


def outputs(module: ModuleOp) -> dict[str, OutputOp]:
    return {op.label: op for op in main_block(module).ops if isinstance(op, OutputOp)}


def params(module: ModuleOp) -> dict[str, ParamOp]:
    return {op.label: op for op in main_block(module).ops if isinstance(op, ParamOp)}


def states(module: ModuleOp) -> dict[str, StateOp]:
    return {op.label: op for op in main_block(module).ops if isinstance(op, StateOp)}
