"""What a program says about its surroundings: constants, parameters, inputs, states and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compiler.dialects import graph
from compiler.dialects.graph_shapes import Tensor
from compiler.frontend import ast
from compiler.frontend.expressions import Expressions
from compiler.frontend.numbers import Number
from compiler.frontend.parameters import ParameterFiles
from compiler.frontend.values import AnyValue, TensorValue, describe, is_list
from compiler.weights import WeightStore
from isa.errors import ModelFault, ToolchainError

Declaration = ast.Const | ast.Weights | ast.Param | ast.Input | ast.State | ast.Output


class Declarations:
    """Declares names in the scope of `expressions` and emits what stands for them."""

    def __init__(
        self, expressions: Expressions, weights: WeightStore, files: ParameterFiles, settings: Mapping[str, Number]
    ) -> None:
        """`settings` are values of constants that stand instead of those in the source."""
        self.expressions, self.weights, self.files, self.settings = expressions, weights, files, settings
        self.scope, self.emitter = expressions.scope, expressions.emitter
        self.outputs = 0
        self.states: dict[str, TensorValue] = {}
        """The value of each state at the start of a call."""
        self._file: str | None = None

    def declare(self, node: Declaration) -> None:
        """Raises ModelFault, and DataFault for parameter files."""
        self.emitter.place = node.place
        match node:
            case ast.Const():
                self._const(node)
            case ast.Weights():
                self._file = node.file
            case ast.Param():
                self._param(node)
            case ast.Input():
                self.scope.declare(node.name, "input", node.place.line)
                value = self.emitter.emit(graph.InputOp, node.name, self.expressions.type(node.type))
                self.scope.top[node.name] = called(value, node.name)
            case ast.State():
                self._state(node)
            case ast.Output():
                self._output(node)

    def _const(self, node: ast.Const) -> None:
        value = self.settings[node.name] if node.name in self.settings else self.expressions.value(node.value)
        if isinstance(value, TensorValue):
            raise ModelFault(f"a constant is known at compile time; found {describe(value)}", hint="leave 'const' out")
        self.scope.declare(node.name, "const", node.place.line)
        self.scope.top[node.name] = value

    def _state(self, node: ast.State) -> None:
        kind = self.expressions.type(node.type)
        initial = 0 if node.initial is None else self.expressions.value(node.initial)
        if not isinstance(initial, (int, float)) or initial != 0:
            raise ModelFault(f"a state starts as zeros; found {describe(initial)}", hint="leave the value out, or write = 0")
        self.scope.declare(node.name, "state", node.place.line)
        names = (node.name,)
        if node.family is not None:
            names = tuple(f"{node.name}.{number}" for number in self._members(node.family))
            self.scope.families[node.name] = names
        for name in names:
            self.emitter.place = node.place
            value = called(self.emitter.emit(graph.StateOp, name, kind), name)
            self.scope.states[name] = self.states[name] = value

    def _output(self, node: ast.Output) -> None:
        value = self.expressions.value(node.value)
        if not isinstance(value, TensorValue):
            hint = "a type makes a tensor of a number or list: f32(…)" if is_list(value) or isinstance(value, float) else ""
            raise ModelFault(f"an output is a tensor; found {describe(value)}", hint=hint)
        if self.scope.declared.get(node.name, ("",))[0] in ("input", "param", "state"):
            what = self.scope.declared[node.name][0]
            article = "an" if what == "input" else "a"
            raise ModelFault(
                f"'{node.name}' is the name of {article} {what} already", hint=f"output {node.name}_out = {node.name}"
            )
        self.scope.declare(node.name, "output", node.place.line)
        self.emitter.place = node.place
        self.emitter.do(graph.OutputOp, node.name, value.ssa)
        self.scope.top[node.name] = called(value, node.name)
        self.outputs += 1

    def _param(self, node: ast.Param) -> None:
        self.scope.declare(node.name, "param", node.place.line)
        key = node.key.value if node.key else node.name
        if node.family is None:
            self.scope.top[node.name] = self._read(node, node.name, key)
            return
        family = node.family
        mark = "{" + family.name + "}"
        if node.key is None:
            key = f"{node.name}.{mark}"
        elif mark not in key:
            fault = ModelFault(f"each parameter of a family needs its own key; '{key}' has no {mark}")
            raise self.expressions.placed(fault, node.key.place)
        members: list[AnyValue] = []
        before = self.scope.enter(family.name)
        for number in self._members(family):
            self.scope.bind(family.name, number)
            members.append(self._read(node, f"{node.name}.{number}", key.replace(mark, str(number))))
        self.scope.leave(family.name, before)
        self.scope.top[node.name] = tuple(members)

    def _members(self, family: ast.Family) -> Iterator[int]:
        """0, 1, 2, …, as many as the family has."""
        for count, number in enumerate(self.expressions.each(family.source)):
            if number != count:
                fault = ModelFault(f"a family counts from 0 in steps of 1; found {describe(number)}", hint="write 0..n")
                raise self.expressions.placed(fault, family.place)
            yield count

    def _read(self, node: ast.Param, name: str, key: str) -> TensorValue:
        kind: Tensor = self.expressions.type(node.type)
        file = node.file.value if node.file else self._file
        if file is None:
            raise ModelFault(f"nothing says where the parameter '{node.name}' comes from", hint='add: from "weights.npz"')
        try:
            array = self.files.read(file, key, kind)
        except ToolchainError as fault:
            raise self.expressions.placed(fault, node.file.place if node.file else node.place) from None
        self.emitter.place = node.place
        return called(self.emitter.emit(graph.ParamOp, name, self.weights.add(array), kind), name)


def called(value: TensorValue, name: str) -> TensorValue:
    """The value, called `name` in printed IR unless it has a name."""
    if value.ssa.name_hint is None:
        value.ssa.name_hint = name.replace(".", "_")
    return value
