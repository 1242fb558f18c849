"""Text to tree: the lark grammar beside this file, read into the nodes of `ast`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import lark
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, VisitError
from lark.visitors import Transformer_NonRecursive

from compiler.frontend import ast
from compiler.frontend.ast import Place
from compiler.frontend.lines import Lines
from compiler.frontend.syntax_errors import KEYWORDS, explain
from isa.errors import SyntaxFault
from isa.spec import TYPES

if TYPE_CHECKING:
    Meta = Any
    Base = Transformer[Token, object]
else:
    Base = Transformer_NonRecursive

_with_place: Callable[[type], type] = cast(Any, lark).v_args(meta=True)

MAX_INTEGER = 2**63 - 1


@cache
def _lark() -> Lark:
    grammar = (resources.files("compiler.frontend") / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=True, postlex=Lines())


def parse_source(text: str, file: str) -> ast.Ast:
    """The tree of a source text; `file` is only its name in messages. Raises SyntaxFault."""
    try:
        tree = cast(Any, _lark()).parse(text)
    except UnexpectedInput as error:
        raise explain(error, text, file) from None
    lines = tuple(text.split("\n"))
    try:
        statements: tuple[ast.Statement, ...] = _Reader().transform(tree)
    except VisitError as error:
        fault = error.orig_exc
        if isinstance(fault, _Refusal):
            raise SyntaxFault(fault.message, ast.Ast(file, lines, ()).location(fault.place), hint=fault.hint) from None
        raise fault from None
    return ast.Ast(file, lines, statements)


class _Refusal(Exception):
    """Grammatical, and still wrong."""

    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


def _place(token: Token | Meta) -> Place:
    return Place(token.line or 1, token.column or 1)


def _name(token: Token) -> str:
    if str(token) in KEYWORDS:
        raise _Refusal(_place(token), f"'{token}' is a keyword, a name is expected here")
    return str(token)


def _string(token: Token | None) -> ast.String | None:
    return ast.String(_place(token), token[1:-1]) if token is not None else None


def _tuple(children: list[Any]) -> tuple[Any, ...]:
    return tuple(children)


@_with_place
class _Reader(Base):
    """One method a rule of the grammar: its place, its children."""

    def start(self, meta: Meta, children: list[Any]) -> tuple[ast.Statement, ...]:
        return _tuple(children)

    def block(self, meta: Meta, children: list[Any]) -> tuple[ast.Statement, ...]:
        return _tuple(children)

    def const(self, meta: Meta, children: list[Any]) -> ast.Const:
        return ast.Const(_place(children[0]), _name(children[0]), children[1])

    def weights(self, meta: Meta, children: list[Any]) -> ast.Weights:
        return ast.Weights(_place(children[0]), children[0][1:-1])

    def param(self, meta: Meta, children: list[Any]) -> ast.Param:
        name, family, kind, file, key = children
        return ast.Param(_place(name), _name(name), family, kind, _string(file), _string(key))

    def family(self, meta: Meta, children: list[Any]) -> ast.Family:
        return ast.Family(_place(children[0]), _name(children[0]), children[1])

    def input(self, meta: Meta, children: list[Any]) -> ast.Input:
        return ast.Input(_place(children[0]), _name(children[0]), children[1])

    def state(self, meta: Meta, children: list[Any]) -> ast.State:
        name, family, kind, initial = children
        return ast.State(_place(name), _name(name), family, kind, initial)

    def output(self, meta: Meta, children: list[Any]) -> ast.Output:
        name, value = children
        return ast.Output(_place(name), _name(name), value or ast.Name(_place(name), _name(name)))

    def function(self, meta: Meta, children: list[Any]) -> ast.Function:
        name, formals, body = children
        seen: set[str] = set()
        for formal in formals:
            if formal.name in seen:
                raise _Refusal(formal.place, f"the parameter '{formal.name}' is there twice")
            seen.add(formal.name)
        return ast.Function(_place(name), _name(name), formals, body)

    def formals(self, meta: Meta, children: list[Any]) -> tuple[ast.Formal, ...]:
        return _tuple(children)

    def formal(self, meta: Meta, children: list[Any]) -> ast.Formal:
        return ast.Formal(_place(children[0]), _name(children[0]), children[1], children[2])

    def loop(self, meta: Meta, children: list[Any]) -> ast.Loop:
        return ast.Loop(_place(meta), _name(children[0]), children[1], children[2])

    def branch(self, meta: Meta, children: list[Any]) -> ast.Branch:
        condition, then, otherwise = children
        rest = (otherwise,) if isinstance(otherwise, ast.Branch) else otherwise or ()
        return ast.Branch(_place(meta), condition, then, rest)

    def result(self, meta: Meta, children: list[Any]) -> ast.Return:
        return ast.Return(_place(meta), _one(children[0]))

    def assign(self, meta: Meta, children: list[Any]) -> ast.Assign:
        targets, values = children
        return ast.Assign(_place(meta), tuple(_target(t) for t in targets), _one(values))

    def augment(self, meta: Meta, children: list[Any]) -> ast.Assign:
        target, operator, value = children
        return ast.Assign(_place(operator), (_target(target),), value, operator[:-1])

    def bare(self, meta: Meta, children: list[Any]) -> None:
        hint = "bind it with 'name = …', or give it to the host with 'output name = …'"
        raise _Refusal(children[0][0].place, "this value is not used", hint)

    def exprs(self, meta: Meta, children: list[Any]) -> tuple[ast.Expression, ...]:
        return _tuple(children)

    def type(self, meta: Meta, children: list[Any]) -> ast.Type:
        token, *sizes = children
        if str(token) not in TYPES:
            raise _Refusal(_place(token), f"'{token}' is no element type; there are {', '.join(TYPES)}")
        return ast.Type(_place(token), str(token), tuple(sizes))

    def range(self, meta: Meta, children: list[Any]) -> ast.Range:
        start, dots, stop, step = children
        return ast.Range(_place(dots), start, stop, step)

    def binary(self, meta: Meta, children: list[Any]) -> ast.Binary:
        left, operator, right = children
        return ast.Binary(_place(operator), cast(ast.BinaryOperator, str(operator)), left, right)

    def negate(self, meta: Meta, children: list[Any]) -> ast.Negate:
        return ast.Negate(_place(children[0]), children[1])

    def attribute(self, meta: Meta, children: list[Any]) -> ast.Attribute:
        return ast.Attribute(_place(children[1]), children[0], str(children[1]))

    def subscript(self, meta: Meta, children: list[Any]) -> ast.Subscript:
        base, *indices = children
        return ast.Subscript(_place(meta), base, tuple(indices))

    def name(self, meta: Meta, children: list[Any]) -> ast.Name:
        return ast.Name(_place(meta), _name(children[0]))

    def integer(self, meta: Meta, children: list[Any]) -> ast.Number:
        text = str(children[0])
        value = int(text, 16 if text.startswith("0x") else 10) if len(text) <= 20 else MAX_INTEGER + 1
        if value > MAX_INTEGER:
            raise _Refusal(_place(meta), "this integer has more than 63 bits")
        return ast.Number(_place(meta), value)

    def real(self, meta: Meta, children: list[Any]) -> ast.Number:
        value = float(children[0])
        if math.isinf(value):
            raise _Refusal(_place(meta), "this number is larger than float64 has", "for infinity write inf")
        return ast.Number(_place(meta), value)

    def string(self, meta: Meta, children: list[Any]) -> ast.String:
        return ast.String(_place(meta), children[0][1:-1])

    def call(self, meta: Meta, children: list[Any]) -> ast.Call:
        name, *given = children
        arguments = tuple(a if isinstance(a, ast.Argument) else ast.Argument(a.place, None, a) for a in given)
        return ast.Call(_place(meta), _name(name), arguments)

    def named(self, meta: Meta, children: list[Any]) -> ast.Argument:
        return ast.Argument(_place(meta), _name(children[0]), children[1])

    def list(self, meta: Meta, children: list[Any]) -> ast.ListOf:
        return ast.ListOf(_place(meta), _tuple(children))

    def comprehension(self, meta: Meta, children: list[Any]) -> ast.Comprehension:
        return ast.Comprehension(_place(meta), children[0], _name(children[1]), children[2])

    def ellipsis(self, meta: Meta, children: list[Any]) -> ast.Ellipsis:
        return ast.Ellipsis(_place(meta))

    def slice(self, meta: Meta, children: list[Any]) -> ast.Slice:
        start, stop, step = children
        return ast.Slice(_place(meta), start, stop, step)


def _one(values: tuple[ast.Expression, ...]) -> ast.Expression:
    """`a` stands for itself, `a, b` for a list."""
    return values[0] if len(values) == 1 else ast.ListOf(values[0].place, values)


def _target(node: ast.Expression) -> ast.Target:
    base = node
    while isinstance(base, ast.Subscript):
        base = base.base
    if isinstance(base, ast.Name) and isinstance(node, (ast.Name, ast.Subscript)):
        return node
    raise _Refusal(node.place, "this cannot be assigned to; a name or a slice of a name is expected left of '='")
