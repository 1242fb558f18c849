"""A source to the graph dialect: statements are run at compile time, loops and functions unrolled and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from compiler.dialects import graph
from compiler.frontend import ast, indexing, math_builtins, operators, shape_builtins
from compiler.frontend.builtins import bind
from compiler.frontend.declarations import Declarations, called
from compiler.frontend.emitter import Emitter
from compiler.frontend.expressions import Expressions
from compiler.frontend.numbers import Number
from compiler.frontend.parameters import ParameterFiles
from compiler.frontend.parser import parse_source
from compiler.frontend.scope import Scope
from compiler.frontend.values import AnyValue, TensorValue, describe, is_list, items
from compiler.weights import WeightStore
from isa.errors import DataFault, Location, ModelFault, ToolchainError

MAX_DEPTH = 40
"""Calls inside calls."""

MAX_TRAIL = 6
"""Calls that an error lists: the innermost ones, and the outermost."""

LIBRARY = (math_builtins, shape_builtins)
"""Imported for what they put into the table of built-ins."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is chosen from outside a source: values of its constants, and paths of the parameter files that it names."""

    constants: Mapping[str, Number] = field(default_factory=dict[str, Number])
    files: Mapping[str, Path] = field(default_factory=dict[str, Path])


def build_graph(
    text: str, file: str, weights: WeightStore, base_dir: Path | None = None, settings: Settings | None = None
) -> ModuleOp:
    """The graph dialect module (`func.func @main`) of a source; parameters go into `weights`.

    Parameter files are looked up in `base_dir`, by default the folder of `file`. Every operation has its place in the
    source. Raises SyntaxFault, ModelFault, and DataFault for parameter files and for settings that nothing in the source
    stands for.
    """
    settings = settings or Settings()
    source = parse_source(text, file)
    _refuse_unknown(settings, source)
    with ParameterFiles(base_dir or Path(file).parent, settings.files) as files:
        return _Program(source, weights, files, settings.constants).build()


def _refuse_unknown(settings: Settings, source: ast.Ast) -> None:
    constants = [node.name for node in source.statements if isinstance(node, ast.Const)]
    files = [node.file for node in source.statements if isinstance(node, ast.Weights)]
    files += [node.file.value for node in source.statements if isinstance(node, ast.Param) and node.file]
    for what, names, known in (("constant", settings.constants, constants), ("parameter file", settings.files, files)):
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(dict.fromkeys(known)) or 'none'}"
                raise DataFault(f"the source has no {what} '{name}'", Location(source.file), hint=hint)


class _Program:
    def __init__(self, source: ast.Ast, weights: WeightStore, files: ParameterFiles, constants: Mapping[str, Number]) -> None:
        self.source = source
        self.emitter = Emitter(source.file)
        self.scope = Scope()
        self.expressions = Expressions(source, self.emitter, self.scope, self._inline)
        self.declarations = Declarations(self.expressions, weights, files, constants)
        self.changed: dict[str, ast.Place] = {}
        """Where each state was assigned last."""
        self.depth = 0
        self.inner_blocks = 0

    def build(self) -> ModuleOp:
        self._hoist_functions()
        self._run(self.source.statements)
        for name, place in self.changed.items():
            if self.scope.states[name] is not self.declarations.states[name]:
                self.emitter.place = place
                self.emitter.do(graph.UpdateOp, name, self.scope.states[name].ssa)
        if not self.changed and not self.declarations.outputs:
            hint = "write 'output name' or 'output name = …'"
            raise ModelFault("the program has no output and changes no state", Location(self.source.file), hint=hint)
        return self.emitter.module()

    def _hoist_functions(self) -> None:
        """Functions may be called above their definition."""
        for node in self.source.statements:
            if isinstance(node, ast.Function):
                try:
                    self.scope.declare(node.name, "function", node.place.line)
                except ModelFault as fault:
                    raise self.expressions.placed(fault, node.place) from None
                self.scope.functions[node.name] = node

    def _run(self, statements: tuple[ast.Statement, ...]) -> AnyValue | None:
        """Run in order; the value of a `return`, or None."""
        for node in statements:
            try:
                self.expressions.step()
                value = self._statement(node)
            except ToolchainError as fault:
                raise self.expressions.placed(fault, node.place) from None
            except RecursionError:
                fault = ModelFault("this is nested too deeply", hint="give parts of the expression names")
                raise self.expressions.placed(fault, node.place) from None
            if value is not None:
                return value
        return None

    def _statement(self, node: ast.Statement) -> AnyValue | None:
        match node:
            case ast.Assign():
                self._assign(node)
            case ast.Loop():
                return self._loop(node)
            case ast.Branch():
                condition = self.expressions.integer(node.condition, "a condition")
                return self._inside(node.then if condition else node.otherwise)
            case ast.Return():
                if not self.depth:
                    raise ModelFault("'return' is for functions", hint="write 'output name = …'")
                return self.expressions.value(node.value)
            case ast.Const() | ast.Weights() | ast.Param() | ast.Input() | ast.State() | ast.Output():
                if self.depth or (self.inner_blocks and not isinstance(node, ast.Output)):
                    raise ModelFault("a declaration stands at the top level, outside functions and blocks")
                self.declarations.declare(node)
            case _:
                if self.depth or self.inner_blocks:
                    raise ModelFault("a function is defined at the top level, outside functions and blocks")
        return None

    def _inside(self, statements: tuple[ast.Statement, ...]) -> AnyValue | None:
        self.inner_blocks += 1
        value = self._run(statements)
        self.inner_blocks -= 1
        return value

    def _loop(self, node: ast.Loop) -> AnyValue | None:
        value, before = None, self.scope.enter(node.name)
        for item in self.expressions.each(node.source):
            self.expressions.step()
            self.scope.bind(node.name, item)
            value = self._inside(node.body)
            if value is not None:
                break
        self.scope.leave(node.name, before)
        return value

    def _assign(self, node: ast.Assign) -> None:
        value = self.expressions.value(node.value)
        if node.operator is not None:
            before = self.expressions.value(node.targets[0])
            self.emitter.place = node.place
            value = operators.binary(self.emitter, node.operator, before, value)
        values = (value,)
        if len(node.targets) > 1:
            values = items(value)
            if len(values) != len(node.targets):
                found = f"{len(values)} values" if is_list(value) else describe(value)
                raise ModelFault(f"{len(node.targets)} names are assigned {found}")
        for target, part in zip(node.targets, values, strict=True):
            self._store(target, part, node.place)

    def _store(self, target: ast.Target, value: AnyValue, place: ast.Place) -> None:
        path: list[tuple[indexing.Index, ...]] = []
        base: ast.Expression = target
        while isinstance(base, ast.Subscript):
            path.insert(0, self.expressions.indices(base.indices))
            base = base.base
        assert isinstance(base, ast.Name)
        name = base.name
        self.emitter.place = place
        if path and name in self.scope.families and name not in (self.scope.local or {}):
            name = self.scope.member(name, path.pop(0))
        if path:
            value = self._replaced(name, self.scope.look_up(name), path, value)
        if name in self.scope.states and name not in (self.scope.local or {}):
            self.changed[name] = place
            if not isinstance(value, TensorValue):
                kind = self.scope.states[name].tensor
                value = self.emitter.broadcast(self.emitter.constant(value, kind.type), kind.shape)
        self.scope.bind(name, called(value, name) if isinstance(value, TensorValue) else value)

    def _replaced(self, name: str, whole: AnyValue, path: list[tuple[indexing.Index, ...]], value: AnyValue) -> TensorValue:
        """The tensor with the part at the end of the path, `[1][2:3]`, replaced."""
        if not isinstance(whole, TensorValue):
            raise ModelFault(f"'{name}' is {describe(whole)}; only parts of tensors can be assigned")
        if len(path) > 1:
            value = self._replaced(name, indexing.read(self.emitter, whole, path[0]), path[1:], value)
        return indexing.write(self.emitter, whole, path[0], value)

    def _inline(
        self, function: ast.Function, place: ast.Place, positional: list[AnyValue], named: dict[str, AnyValue]
    ) -> AnyValue:
        """The value of a call: the body, run in a scope of its own. Errors inside name the call."""
        names = [formal.name for formal in function.formals]
        given = bind(f"{function.name}({', '.join(names)})", names, positional, named)
        if self.depth >= MAX_DEPTH:
            raise ModelFault(f"more than {MAX_DEPTH} calls inside each other", hint="does this recursion end?")
        outer, blocks = self.scope.local, self.inner_blocks
        self.depth, self.scope.local = self.depth + 1, {}
        try:
            self._bind_formals(function, given, place)
            value = self._run(function.body)
            if value is None:
                raise ModelFault(f"the function '{function.name}' returned nothing", hint="end it with 'return …'")
        except ToolchainError as fault:
            self.expressions.placed(fault, place)
            shown = ", ".join(describe(given[n]) for n in names if n in given)
            trail = f"in {function.name}({shown}), called at {self.source.location(place)}"
            fault.notes = (*fault.notes[: MAX_TRAIL - 1], trail)
            raise
        finally:
            self.depth, self.scope.local, self.inner_blocks = self.depth - 1, outer, blocks
        return value

    def _bind_formals(self, function: ast.Function, given: dict[str, AnyValue], place: ast.Place) -> None:
        local = self.scope.local
        assert local is not None
        for formal in function.formals:
            if formal.name in given:
                local[formal.name] = given[formal.name]
            elif formal.default is not None:
                local[formal.name] = self.expressions.value(formal.default)
            else:
                raise self.expressions.placed(ModelFault(f"{function.name} needs '{formal.name}'"), place)
            if formal.type is not None:
                self._check_formal(formal, formal.type, local[formal.name], place)

    def _check_formal(self, formal: ast.Formal, kind: ast.Type, value: AnyValue, place: ast.Place) -> None:
        """Sizes that are names of nothing constant are bound, or must equal what they were bound to."""
        local = self.scope.local
        assert local is not None
        sizes: list[int] = []
        actual = value.shape if isinstance(value, TensorValue) else ()
        for axis, size in enumerate(kind.sizes):
            free = isinstance(size, ast.Name) and self.scope.declared.get(size.name, ("",))[0] != "const"
            if isinstance(size, ast.Name) and free and size.name not in local and axis < len(actual):
                local[size.name] = actual[axis]
            sizes.append(self.expressions.integer(size, "a size"))
        if not isinstance(value, TensorValue) or value.type != kind.element or actual != tuple(sizes):
            wanted = f"{kind.element}[{', '.join(map(str, sizes))}]"
            raise self.expressions.placed(ModelFault(f"'{formal.name}' is {wanted}; found {describe(value)}"), place)
