"""The typed tree of a `.lks` source. Every node knows its place; nothing here is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from isa.errors import Location

BinaryOperator = Literal["+", "-", "*", "/", "//", "%", "@", "<", "<=", ">", ">=", "==", "!="]

MAX_EXCERPT = 160
"""Characters of a line that an error shows, if the caret is among them."""


class Place(NamedTuple):
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    place: Place


@dataclass(frozen=True, slots=True)
class Expression(Node):
    pass


@dataclass(frozen=True, slots=True)
class Name(Expression):
    name: str


@dataclass(frozen=True, slots=True)
class Number(Expression):
    value: int | float


@dataclass(frozen=True, slots=True)
class String(Expression):
    value: str


@dataclass(frozen=True, slots=True)
class ListOf(Expression):
    """`[a, b, c]`"""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """`left operator right`; the place is the operator's."""

    operator: BinaryOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Negate(Expression):
    operand: Expression


@dataclass(frozen=True, slots=True)
class Attribute(Expression):
    """`base.name`; the place is the name's."""

    base: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`start:stop:step` inside an index."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


@dataclass(frozen=True, slots=True)
class Ellipsis(Node):
    """`...` inside an index: as many `:` as are missing."""


Index = Expression | Slice | Ellipsis


@dataclass(frozen=True, slots=True)
class Subscript(Expression):
    base: Expression
    indices: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """An argument of a call; `name` is set in `name=value`."""

    name: str | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Call(Expression):
    function: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Range(Node):
    """`start..stop step step`, without `stop`."""

    start: Expression
    stop: Expression
    step: Expression | None


@dataclass(frozen=True, slots=True)
class Comprehension(Expression):
    """`[item for name in source]`"""

    item: Expression
    name: str
    source: Range | Expression


@dataclass(frozen=True, slots=True)
class Type(Node):
    """`f16[32, 64]`; a scalar has no sizes."""

    element: str
    sizes: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Statement(Node):
    pass


@dataclass(frozen=True, slots=True)
class Const(Statement):
    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Weights(Statement):
    """`from "file"`: where the parameters below come from."""

    file: str


@dataclass(frozen=True, slots=True)
class Family(Node):
    """`[i in 0..L]` after the name of a parameter or state: one for each i."""

    name: str
    source: Range | Expression


@dataclass(frozen=True, slots=True)
class Param(Statement):
    """`param name[family]: type from file as key`"""

    name: str
    family: Family | None
    type: Type
    file: String | None
    key: String | None


@dataclass(frozen=True, slots=True)
class Input(Statement):
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class State(Statement):
    """`state name[family]: type = initial`"""

    name: str
    family: Family | None
    type: Type
    initial: Expression | None


@dataclass(frozen=True, slots=True)
class Output(Statement):
    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Formal(Node):
    """A parameter of a function; sizes of its type that are unknown names are bound at the call."""

    name: str
    type: Type | None
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Function(Statement):
    name: str
    formals: tuple[Formal, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Loop(Statement):
    name: str
    source: Range | Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Branch(Statement):
    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Return(Statement):
    value: Expression


Target = Name | Subscript
"""A name, or a subscript of one: `x`, `x[1]`, `x[1][2:3]`."""


@dataclass(frozen=True, slots=True)
class Assign(Statement):
    """`a, b[1] = value`; `operator` is set in `a += value`."""

    targets: tuple[Target, ...]
    value: Expression
    operator: BinaryOperator | None = None


@dataclass(frozen=True, slots=True)
class Ast:
    """A source, read. `statements` in order."""

    file: str
    lines: tuple[str, ...]
    statements: tuple[Statement, ...]

    def location(self, place: Place) -> Location:
        """The place with its line's text, for an error."""
        text = self.lines[place.line - 1] if 0 < place.line <= len(self.lines) else ""
        return Location(self.file, place.line, place.column, text[: max(MAX_EXCERPT, place.column)].rstrip("\r"))
