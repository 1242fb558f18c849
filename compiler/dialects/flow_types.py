"""What the operations of the flow dialect share: stream types, roles, modes, and how operands and fields are written."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    i64,
)
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, ParametrizedAttribute, SpacedOpaqueSyntaxAttribute, SSAValue, TypeAttribute
from xdsl.irdl import IRDLOperation, irdl_attr_definition
from xdsl.irdl.declarative_assembly_format import (
    AttributeVariable,
    CustomDirective,
    ParsingState,
    PrintingState,
    VariadicOperandVariable,
    irdl_custom_directive,
)
from xdsl.parser import AttrParser, Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from isa.spec import TYPES, ElementType

Numbers = DenseArrayBase[IntegerType]
Number = IntegerAttr[IntegerType]
Names = ArrayAttr[StringAttr]


class BufferRole(StrEnum):
    input = "input"
    output = "output"
    param = "param"
    state = "state"
    constant = "constant"
    temporary = "temporary"


class Memory(StrEnum):
    sram = "sram"
    rram = "rram"


class Mode(StrEnum):
    i8 = "i8"
    f16 = "f16"
    i8f16 = "i8f16"


@irdl_attr_definition
class RoleAttr(EnumAttribute[BufferRole], SpacedOpaqueSyntaxAttribute):
    name = "flow.role"


@irdl_attr_definition
class MemoryAttr(EnumAttribute[Memory], SpacedOpaqueSyntaxAttribute):
    name = "flow.memory"


@irdl_attr_definition
class ModeAttr(EnumAttribute[Mode], SpacedOpaqueSyntaxAttribute):
    name = "flow.mode"


@irdl_attr_definition
class StreamType(ParametrizedAttribute, TypeAttribute):
    """`!flow.stream<f32, 8, 1, 4>`: 8 vectors of f32, one every cycle, on 4 byte streams side by side."""

    name = "flow.stream"
    element: StringAttr
    count: Number
    every: Number
    streams: Number

    @property
    def fields(self) -> tuple[ElementType, int, int, int]:
        """Element type, vectors, cycles between them, byte streams."""
        return cast(ElementType, self.element.data), self.count.value.data, self.every.value.data, self.streams.value.data

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            found: list[Attribute] = [StringAttr(parser.parse_identifier())]
            for _ in range(3):
                parser.parse_punctuation(",")
                found.append(IntegerAttr(parser.parse_integer(allow_boolean=False), i64))
            return found

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(", ".join(str(f) for f in self.fields))

    def verify(self) -> None:
        element, count, every, streams = self.fields
        if element not in TYPES:
            raise VerifyException(f"{element} is no element type of a stream; there are {', '.join(TYPES)}")
        for what, number in (("count", count), ("every", every), ("streams", streams)):
            if number < 1:
                raise VerifyException(f"flow.stream: {what} is {number}, must be at least 1")


def stream_of(value: SSAValue) -> StreamType:
    """The type of a value of a trip, whose constraints leave no other."""
    return cast(StreamType, value.type)


def numbers(values: list[int] | tuple[int, ...]) -> Numbers:
    return DenseArrayBase.from_list(i64, [int(v) for v in values])


@irdl_custom_directive
class Operands(CustomDirective):
    """`(%a, 0x3F800000)`: values and 32-bit constants in the instruction's order.

    By hand, because the declarative format cannot mix values with constants. In the IR, `immediates` has one number an
    operand: the constant's bits, or -1 for the next value; it is absent where all operands are values.
    """

    operands: VariadicOperandVariable
    immediates: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        operands: list[UnresolvedOperand] = []
        bits: list[int] = []

        def operand() -> None:
            value = parser.parse_optional_unresolved_operand()
            if value is None:
                bits.append(parser.parse_integer(allow_boolean=False, allow_negative=False))
            else:
                operands.append(value)
                bits.append(-1)

        parser.parse_comma_separated_list(parser.Delimiter.PAREN, operand)
        self.operands.set(state, operands)
        if max(bits, default=-1) >= 0:
            self.immediates.set(state, numbers(bits))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        state.print_whitespace(printer)
        given = self.immediates.get(op)
        values = list(self.operands.get(op))
        bits = cast(Numbers, given).get_values() if given else [-1] * len(values)
        rest = iter(values)
        with printer.in_parens():
            for i, number in enumerate(bits):
                printer.print_string(", " if i else "")
                if number < 0:
                    printer.print_ssa_value(next(rest))
                else:
                    printer.print_string(f"0x{number:08X}")


@irdl_custom_directive
class Fields(CustomDirective):
    """`with op = 1, lanes = 16`: fields of the instruction word, or nothing; shorter than a dictionary of typed attributes."""

    fields: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        if parser.parse_optional_keyword("with") is None:
            return

        def field() -> tuple[str, Number]:
            name = parser.parse_identifier()
            parser.parse_punctuation("=")
            return name, IntegerAttr(parser.parse_integer(allow_boolean=False), i64)

        pairs = parser.parse_comma_separated_list(parser.Delimiter.NONE, field)
        self.fields.set(state, DictionaryAttr(dict(pairs)))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        given = self.fields.get(op)
        if given is None:
            return
        state.print_whitespace(printer)
        pairs = cast("dict[str, Number]", cast(DictionaryAttr, given).data)
        printer.print_string("with " + ", ".join(f"{name} = {number.value.data}" for name, number in pairs.items()))


def at_least(op: str, least: int, **given: Number | None) -> None:
    """Raises VerifyException for the first number that is too small; None passes."""
    for name, number in given.items():
        if number is not None and number.value.data < least:
            raise VerifyException(f"{op}: {name} is {number.value.data}, must be at least {least}")
