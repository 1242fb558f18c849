"""Flow operations of the matrix, vector and lane units: load, swap, feed, compute."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import I64, DenseArrayBase, DictionaryAttr, IntegerAttr, StringAttr, UnitAttr, i64
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
    result_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from compiler.dialects.flow_types import Fields, ModeAttr, Number, Operands, StreamType, at_least, stream_of
from isa.spec import BY_MNEMONIC, Instruction


@irdl_op_definition
class LoadOp(IRDLOperation):
    """Weights into the shadow buffers of planes, rows row … row + count - 1 (columns, if transposed):
    `flow.load %w to [0, 2] mode i8 count 8 row 0 transposed : !flow.stream<i8, 2, 1, 4>`."""

    name = "flow.load"
    source = operand_def(StreamType)
    planes = prop_def(DenseArrayBase.constr(i64))
    mode = prop_def(ModeAttr)
    count = prop_def(IntegerAttr[I64])
    row = prop_def(IntegerAttr[I64])
    transposed = opt_prop_def(UnitAttr)
    assembly_format = (
        "$source `to` $planes `mode` $mode `count` $count `row` $row (`transposed` $transposed^)? attr-dict `:` type($source)"
    )

    def verify_(self) -> None:
        planes = self.planes.get_values()
        if not planes or min(planes) < 0:
            raise VerifyException(f"{self.name}: planes {list(planes)} must be one or more plane numbers")
        at_least(self.name, 0, row=self.row)
        at_least(self.name, 1, count=self.count)


@irdl_op_definition
class SwapOp(IRDLOperation):
    """Exchange of the shadow and the active weights of a plane: `flow.swap 0 mode i8`."""

    name = "flow.swap"
    plane = prop_def(IntegerAttr[I64])
    mode = prop_def(ModeAttr)
    assembly_format = "$plane `mode` $mode attr-dict"

    def verify_(self) -> None:
        at_least(self.name, 0, plane=self.plane)


@irdl_op_definition
class FeedOp(IRDLOperation):
    """Activations × active weights; without a result the sums stay in the accumulator, for a later feed that is not `fresh`:
    `%s = flow.feed %a plane 0 mode i8 depth 8 lane 0 accumulator 0 fresh count 4 : !flow.stream<i8, 4, 1, 1>
    -> !flow.stream<i32, 4, 1, 4>`."""

    name = "flow.feed"
    source = operand_def(StreamType)
    plane = prop_def(IntegerAttr[I64])
    mode = prop_def(ModeAttr)
    depth = prop_def(IntegerAttr[I64])
    lane = prop_def(IntegerAttr[I64])
    accumulator = prop_def(IntegerAttr[I64])
    fresh = opt_prop_def(UnitAttr)
    count = prop_def(IntegerAttr[I64])
    result = opt_result_def(StreamType)
    assembly_format = (
        "$source `plane` $plane `mode` $mode `depth` $depth `lane` $lane `accumulator` $accumulator (`fresh` $fresh^)? "
        "`count` $count attr-dict `:` type($source) (`->` type($result)^)?"
    )

    def verify_(self) -> None:
        at_least(self.name, 0, plane=self.plane, lane=self.lane, accumulator=self.accumulator)
        at_least(self.name, 1, depth=self.depth, count=self.count)
        expected = "i8" if self.mode.data == "i8" else "f16"
        found = stream_of(self.source).fields[0]
        if found != expected:
            raise VerifyException(f"{self.name}: mode {self.mode.data} takes {expected} activations, not {found}")
        if self.result is not None:
            expected = "i32" if self.mode.data == "i8" else "f32"
            found = stream_of(self.result).fields[0]
            if found != expected:
                raise VerifyException(f"{self.name}: mode {self.mode.data} gives {expected}, not {found}")


@irdl_op_definition
class ComputeOp(IRDLOperation):
    """One operation of the vector unit or of a lane unit, by its mnemonic; an operand is a value or a 32-bit constant:
    `%r = flow.compute "fadd" on "vxm" (%a, 0x3F800000) count 8 every 1 : (!flow.stream<f32, 8, 1, 4>)
    -> !flow.stream<f32, 8, 1, 4>`, `flow.compute "reduce" on "sxm.w" (%a) with op = 0, lanes = 16 count …`."""

    name = "flow.compute"
    mnemonic = prop_def(StringAttr)
    unit = prop_def(StringAttr)
    inputs = var_operand_def(StreamType)
    immediates = opt_prop_def(DenseArrayBase.constr(i64))
    fields = opt_prop_def(DictionaryAttr)
    count = prop_def(IntegerAttr[I64])
    every = prop_def(IntegerAttr[I64])
    result = result_def(StreamType)
    custom_directives = (Operands, Fields)
    assembly_format = (
        "$mnemonic `on` $unit custom<Operands>($inputs, $immediates) custom<Fields>($fields) "
        "`count` $count `every` $every attr-dict `:` functional-type($inputs, $result)"
    )

    def verify_(self) -> None:
        at_least(self.name, 1, count=self.count, every=self.every)
        row = BY_MNEMONIC.get(self.mnemonic.data)
        if row is None or row.ports not in (("vxm",), ("sxm",)):
            raise VerifyException(f"{self.name}: '{self.mnemonic.data}' is no instruction of the VXM or the SXM")
        if self.unit.data.split(".")[0] != row.ports[0]:
            raise VerifyException(f"{self.name}: {row.mnemonic} is for the {row.ports[0]}, not for '{self.unit.data}'")
        self._verify_operands(row)
        self._verify_fields(row)

    def _verify_operands(self, row: Instruction) -> None:
        bits = self.immediates.get_values() if self.immediates else (-1,) * len(self.inputs)
        if sum(1 for b in bits if b < 0) != len(self.inputs):
            raise VerifyException(f"{self.name}: immediates {list(bits)} do not leave a place for each of the values")
        if len(bits) != len(row.sources):
            raise VerifyException(f"{self.name}: {row.mnemonic} has {len(row.sources)} operands, not {len(bits)}")
        if max(bits, default=-1) >> 32 > 0 or any(b >= 0 and not o.immediate for b, o in zip(bits, row.sources, strict=True)):
            raise VerifyException(f"{self.name}: {row.mnemonic} does not take these constants")

    def _verify_fields(self, row: Instruction) -> None:
        given = cast("dict[str, Number]", self.fields.data) if self.fields else {}
        known = {f.name: f for f in row.fields}
        missing = [f.name for f in row.fields if f.default is None and f.name not in given]
        if missing or set(given) - set(known):
            expected = ", ".join(known) or "none"
            raise VerifyException(f"{self.name}: fields of {row.mnemonic} are {expected}; found {', '.join(given) or 'none'}")
        for name, number in given.items():
            if not known[name].low <= number.value.data <= known[name].high:
                limits = f"{known[name].low} … {known[name].high}"
                raise VerifyException(f"{self.name}: {name} is {number.value.data}, must be in {limits}")
