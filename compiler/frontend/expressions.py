"""Expressions to values: numbers and lists are worked out, tensors become operations of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from compiler.dialects.graph_shapes import Tensor
from compiler.frontend import ast, indexing, operators
from compiler.frontend.builtins import BUILTINS, call_builtin
from compiler.frontend.emitter import Emitter
from compiler.frontend.scope import Scope
from compiler.frontend.values import MAX_LIST, AnyValue, TensorValue, check_shape, describe, is_list, items
from isa.errors import ModelFault, ToolchainError
from isa.spec import ElementType

MAX_STEPS = 1_000_000


class Caller(Protocol):
    """Elaborates a call of a function of the program."""

    def __call__(
        self, function: ast.Function, place: ast.Place, positional: list[AnyValue], named: dict[str, AnyValue]
    ) -> AnyValue: ...


class Expressions:
    """Evaluates in a scope. A ModelFault without a place gets the place of the expression it arose in."""

    def __init__(self, source: ast.Ast, emitter: Emitter, scope: Scope, call: Caller) -> None:
        self.source, self.emitter, self.scope = source, emitter, scope
        self._call_function = call
        self._steps = 0

    def step(self) -> None:
        """Count a step of elaboration. Raises ModelFault when there are too many."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            hint = "loops and functions are unrolled; put work into larger tensors instead"
            raise ModelFault(f"the program takes more than {MAX_STEPS} steps to elaborate", hint=hint)

    def placed(self, fault: ToolchainError, place: ast.Place) -> ToolchainError:
        """The fault at this place, unless it has one with its text."""
        if fault.location is None or not fault.location.text:
            fault.location = self.source.location(place)
        return fault

    def value(self, node: ast.Expression) -> AnyValue:
        """Raises ModelFault."""
        try:
            self.step()
            return self._value(node)
        except ModelFault as fault:
            raise self.placed(fault, node.place) from None

    def integer(self, node: ast.Expression, what: str) -> int:
        value = self.value(node)
        if not isinstance(value, int):
            found = f"{describe(value)}, known only at run time" if isinstance(value, TensorValue) else describe(value)
            raise self.placed(ModelFault(f"{what} is a compile-time integer; found {found}"), node.place)
        return value

    def type(self, node: ast.Type) -> Tensor:
        sizes = tuple(self.integer(size, "a size") for size in node.sizes)
        return self.checked(Tensor(_element(node.element), sizes), node.place)

    def checked(self, kind: Tensor, place: ast.Place) -> Tensor:
        try:
            return check_shape(kind)
        except ModelFault as fault:
            raise self.placed(fault, place) from None

    def each(self, source: ast.Range | ast.Expression) -> Iterator[AnyValue]:
        """What a loop runs over: a range's integers, a list's items, a tensor's rows."""
        if isinstance(source, ast.Range):
            yield from self._range(source)
            return
        value = self.value(source)
        if isinstance(value, TensorValue) and value.shape:
            for row in range(value.shape[0]):
                self.emitter.place = source.place
                yield indexing.read(self.emitter, value, (row,))
        elif is_list(value):
            yield from items(value)
        else:
            raise self.placed(
                ModelFault(f"a loop runs over a range, a list or a tensor; found {describe(value)}", hint="write 0..n"),
                source.place,
            )

    def _range(self, node: ast.Range) -> range:
        start = self.integer(node.start, "a range's start")
        stop = self.integer(node.stop, "a range's end")
        step = 1 if node.step is None else self.integer(node.step, "a range's step")
        if step == 0:
            raise self.placed(ModelFault("a range's step is not 0"), node.place)
        return range(start, stop, step)

    def _value(self, node: ast.Expression) -> AnyValue:
        match node:
            case ast.Number() | ast.String():
                return node.value
            case ast.Name():
                return self.scope.look_up(node.name)
            case ast.ListOf():
                return tuple(self.value(item) for item in node.items)
            case ast.Negate():
                operand = self.value(node.operand)
                self.emitter.place = node.place
                return operators.negate(self.emitter, operand)
            case ast.Binary():
                return self._binary(node)
            case ast.Attribute():
                return self._attribute(node, self.value(node.base))
            case ast.Subscript():
                return self._subscript(node)
            case ast.Comprehension():
                return self._comprehension(node)
            case ast.Call():
                return self._call(node)
            case _:
                raise AssertionError(type(node))

    def _binary(self, node: ast.Binary) -> AnyValue:
        left = self.value(node.left)
        names = (_spelling(node.left, "left"), _spelling(node.right, "right"))
        if node.operator == "@" and isinstance(node.right, ast.Attribute) and node.right.name == "T":
            right = self.value(node.right.base)
            self.emitter.place = node.place
            if isinstance(left, TensorValue) and isinstance(right, TensorValue) and len(right.shape) > 1:
                return operators.product(self.emitter, left, right, names, transpose_b=True)
            right = self._attribute(node.right, right)
        else:
            right = self.value(node.right)
        self.emitter.place = node.place
        return operators.binary(self.emitter, node.operator, left, right, names)

    def _attribute(self, node: ast.Attribute, base: AnyValue) -> AnyValue:
        self.emitter.place = node.place
        if node.name not in ("T", "shape", "type", "rank"):
            raise ModelFault(f"there is no '.{node.name}'", hint="there are .T, .shape, .type and .rank")
        if is_list(base) and node.name == "shape":
            return (len(items(base)),)
        if not isinstance(base, TensorValue):
            raise ModelFault(f"'.{node.name}' is for tensors; found {describe(base)}")
        rank = len(base.shape)
        if node.name == "T":
            if rank < 2:
                raise ModelFault(f"'.T' swaps the last two axes; {base.tensor} has {rank}")
            return self.emitter.transpose(base, (*range(rank - 2), rank - 1, rank - 2))
        return {"shape": base.shape, "type": base.tensor, "rank": rank}[node.name]

    def _subscript(self, node: ast.Subscript) -> AnyValue:
        base = self.value(node.base)
        indices = self.indices(node.indices)
        self.emitter.place = node.place
        if isinstance(base, TensorValue):
            return indexing.read(self.emitter, base, indices)
        if isinstance(base, Tensor) and not base.shape:
            sizes = tuple(i for i in indices if isinstance(i, int))
            if len(sizes) != len(indices):
                raise ModelFault("the sizes of a type are compile-time integers")
            return self.checked(Tensor(base.type, sizes), node.place)
        if is_list(base):
            return indexing.of_list(base, indices)
        raise ModelFault(f"{describe(base)} has no items")

    def indices(self, nodes: tuple[ast.Index, ...]) -> tuple[indexing.Index, ...]:
        return tuple(self._index(node) for node in nodes)

    def _index(self, node: ast.Index) -> indexing.Index:
        if isinstance(node, ast.Ellipsis):
            return indexing.Rest()
        if isinstance(node, ast.Slice):
            ends = (None if end is None else self.integer(end, "a slice's end") for end in (node.start, node.stop, node.step))
            return indexing.Span(*ends)
        return self.value(node)

    def _comprehension(self, node: ast.Comprehension) -> AnyValue:
        found: list[AnyValue] = []
        before = self.scope.enter(node.name)
        for item in self.each(node.source):
            self.step()
            self.scope.bind(node.name, item)
            found.append(self.value(node.item))
            if len(found) > MAX_LIST:
                raise ModelFault(f"a list has at most {MAX_LIST} items")
        self.scope.leave(node.name, before)
        return tuple(found)

    def _call(self, node: ast.Call) -> AnyValue:
        positional: list[AnyValue] = []
        named: dict[str, AnyValue] = {}
        for argument in node.arguments:
            if argument.name is None and named:
                fault = ModelFault("an argument without a name follows one with a name", hint="put it before")
                raise self.placed(fault, argument.place)
            if argument.name is None:
                positional.append(self.value(argument.value))
            elif argument.name in named:
                raise self.placed(ModelFault(f"{node.function}: '{argument.name}' is given twice"), argument.place)
            else:
                named[argument.name] = self.value(argument.value)
        self.emitter.place = node.place
        if node.function in self.scope.functions:
            return self._call_function(self.scope.functions[node.function], node.place, positional, named)
        if node.function not in BUILTINS:
            raise ModelFault(f"there is no function '{node.function}'", hint=self.scope.function_hint(node.function))
        return call_builtin(self.emitter, node.function, positional, named)


def _element(name: str) -> ElementType:
    match name:
        case "i8" | "f16" | "i32" | "f32":
            return name
        case _:
            raise AssertionError(name)


def _spelling(node: ast.Expression, otherwise: str) -> str:
    """An operand as a hint writes it."""
    return node.name if isinstance(node, ast.Name) else otherwise
