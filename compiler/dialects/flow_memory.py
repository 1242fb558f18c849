"""Flow operations that name memory: buffers, and the nodes of trips that read and write them."""

from __future__ import annotations

from math import prod
from typing import cast

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    DenseArrayBase,
    FlatSymbolRefAttrConstr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    i64,
)
from xdsl.ir import Attribute
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from compiler.dialects.flow_types import MemoryAttr, RoleAttr, StreamType, at_least, stream_of
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import tensor_of
from isa.errors import ModelFault
from isa.packing import Packing
from isa.spec import BYTES

PACKING_NUMBERS = 12


@irdl_op_definition
class BufferOp(IRDLOperation):
    """A tensor in memory, as rows × tiles × bytes of vectors.

    `flow.buffer @w param in rram stripes 4 segments [0] sides "we" digest "9f…" : tensor<8x32xi8>`

    `segments` are the first rows of the row ranges that may lie in different slices; row l of a segment lies in stripe
    l mod `stripes`. `spare` words follow the last row of every place, where scatters put what belongs elsewhere.
    `sides` has a letter for every tile of every segment: w or e where the side is fixed, '.' where not.
    `packs [224, 224, 3] by [112, 23, …]` says how the host makes it of a tensor of that shape (`isa.packing.Packing.numbers`).
    Placement adds `at ["sram.e0", "sram.w1"] slices [0, 1] bases [0, 64]`: for each segment, stripe, tile and byte, in
    that order, the number of the slice in the list and the address of the first word; `word_step 10`, where the words of a
    column are not neighbours.
    """

    name = "flow.buffer"
    sym_name = prop_def(SymbolNameConstraint())
    role = prop_def(RoleAttr)
    memory = prop_def(MemoryAttr)
    stripes = prop_def(IntegerAttr[I64])
    segments = prop_def(DenseArrayBase.constr(i64))
    spare = opt_prop_def(IntegerAttr[I64])
    sides = opt_prop_def(StringAttr)
    digest = opt_prop_def(StringAttr)
    image = opt_prop_def(DenseArrayBase.constr(i64))
    packing = opt_prop_def(DenseArrayBase.constr(i64))
    units = opt_prop_def(ArrayAttr[StringAttr])
    slices = opt_prop_def(DenseArrayBase.constr(i64))
    bases = opt_prop_def(DenseArrayBase.constr(i64))
    word_step = opt_prop_def(IntegerAttr[I64])
    type = prop_def(TensorType)
    traits = traits_def(SymbolOpInterface())
    assembly_format = (
        "$sym_name $role `in` $memory `stripes` $stripes `segments` $segments (`spare` $spare^)? (`sides` $sides^)? "
        "(`digest` $digest^)? "
        "(`packs` $image^ `by` $packing)? "
        "(`at` $units^ `slices` $slices `bases` $bases)? (`word_step` $word_step^)? attr-dict `:` $type"
    )

    @property
    def tensor(self) -> Tensor:
        """Raises ModelFault for a type that no buffer has."""
        return tensor_of(cast(Attribute, self.type))

    def packed(self) -> Packing | None:
        if self.image is None or self.packing is None:
            return None
        image, numbers = self.image.get_values(), self.packing.get_values()
        if len(numbers) != PACKING_NUMBERS:
            raise VerifyException(f"{self.name}: a packing has {PACKING_NUMBERS} numbers")
        packing = Packing.of(image, numbers)
        if problem := packing.problem(image, 1 << 30):
            raise VerifyException(f"{self.name}: {problem}")
        return packing

    def rows(self) -> int:
        return prod(self.tensor.shape[:-1])

    def tiles(self, lanes: int) -> int:
        return -(-(self.tensor.shape[-1] if self.tensor.shape else 1) // lanes)

    def verify_(self) -> None:
        try:
            tensor = self.tensor
        except ModelFault as fault:
            raise VerifyException(fault.message) from None
        at_least(self.name, 1, stripes=self.stripes, word_step=self.word_step, spare=self.spare)
        first = self.segments.get_values()
        if not first or first[0] != 0 or list(first) != sorted(set(first)) or first[-1] >= max(self.rows(), 1):
            raise VerifyException(f"{self.name}: segments {list(first)} do not rise from 0 to below {self.rows()} rows")
        if self.sides and set(self.sides.data) - set("we."):
            raise VerifyException(f"{self.name}: sides '{self.sides.data}' has letters other than w, e and '.'")
        if (packing := self.packed()) and packing.shape(1 << 30)[:2] != tensor.shape[:2]:
            raise VerifyException(
                f"{self.name}: the packing gives {list(packing.shape(1 << 30)[:2])} rows, not {list(tensor.shape)}"
            )
        self._verify_places(len(first) * self.stripes.value.data * BYTES[tensor.type])

    def _verify_places(self, width: int) -> None:
        present = [p is not None for p in (self.units, self.slices, self.bases)]
        if any(present) and not all(present):
            raise VerifyException(f"{self.name}: a placed buffer has units, slices and bases")
        if self.units is None or self.slices is None or self.bases is None:
            return
        slices, bases = self.slices.get_values(), self.bases.get_values()
        if len(slices) != len(bases) or len(slices) % width:
            raise VerifyException(f"{self.name}: {len(slices)} slices and {len(bases)} bases for columns of {width} places")
        if slices and not 0 <= min(slices) <= max(slices) < len(self.units.data):
            raise VerifyException(f"{self.name}: slices {list(slices)} are not all in a list of {len(self.units.data)}")
        if min(bases, default=0) < 0:
            raise VerifyException(f"{self.name}: bases are addresses, none is below 0")


@irdl_op_definition
class ReadOp(IRDLOperation):
    """Rows row, row + step, … of a tile onto a stream group of the buffer's type, or one byte column of them:
    `%x = flow.read @x tile 0 row 0 step 1 count 8 : !flow.stream<f32, 8, 1, 4>`,
    `%b = flow.read @x tile 0 row 0 step 1 count 8 byte 3 : !flow.stream<i8, 8, 1, 1>`; or of an i8 buffer several rows
    abreast, stream s from the row s · apart further:
    `%k = flow.read @k tile 0 row 0 step 16 count 2 abreast 16 apart 1 : !flow.stream<i8, 2, 1, 16>`; or in runs of rows
    that begin some rows apart: `%x = flow.read @x tile 0 row 5 step 1 count 9 run 3 apart 14 : !flow.stream<i8, 9, 1, 1>`."""

    name = "flow.read"
    buffer = prop_def(FlatSymbolRefAttrConstr)
    tile = prop_def(IntegerAttr[I64])
    row = prop_def(IntegerAttr[I64])
    step = prop_def(IntegerAttr[I64])
    count = prop_def(IntegerAttr[I64])
    byte = opt_prop_def(IntegerAttr[I64])
    abreast = opt_prop_def(IntegerAttr[I64])
    apart = opt_prop_def(IntegerAttr[I64])
    run = opt_prop_def(IntegerAttr[I64])
    run_step = opt_prop_def(IntegerAttr[I64])
    result = result_def(StreamType)
    assembly_format = (
        "$buffer `tile` $tile `row` $row `step` $step `count` $count (`byte` $byte^)? (`abreast` $abreast^ `apart` $apart)? "
        "(`run` $run^ `apart` $run_step)? attr-dict `:` type($result)"
    )

    def verify_(self) -> None:
        at_least(self.name, 0, tile=self.tile, row=self.row, byte=self.byte)
        at_least(self.name, 1, count=self.count, abreast=self.abreast, apart=self.apart, run=self.run)


@irdl_op_definition
class ReadBlockOp(IRDLOperation):
    """`count` consecutive rows of a tile, `rows_per_cycle` at a time side by side, for a load:
    `%w = flow.read_block @w tile 1 row 0 count 8 rows_per_cycle 4 : !flow.stream<i8, 2, 1, 4>`. With `beside @n from 0` the
    last rows of each cycle, as many as that buffer has stripes, come from there."""

    name = "flow.read_block"
    buffer = prop_def(FlatSymbolRefAttrConstr)
    tile = prop_def(IntegerAttr[I64])
    row = prop_def(IntegerAttr[I64])
    count = prop_def(IntegerAttr[I64])
    rows_per_cycle = prop_def(IntegerAttr[I64])
    beside = opt_prop_def(FlatSymbolRefAttrConstr)
    beside_row = opt_prop_def(IntegerAttr[I64])
    result = result_def(StreamType)
    assembly_format = (
        "$buffer `tile` $tile `row` $row `count` $count `rows_per_cycle` $rows_per_cycle "
        "(`beside` $beside^ `from` $beside_row)? attr-dict `:` type($result)"
    )

    def verify_(self) -> None:
        at_least(self.name, 0, tile=self.tile, row=self.row)
        at_least(self.name, 1, count=self.count, rows_per_cycle=self.rows_per_cycle)


@irdl_op_definition
class GatherOp(IRDLOperation):
    """One byte column of the rows that an index value names, of a table of `limit` rows:
    `%b = flow.gather @table tile 0 byte 1 by %i limit 10 count 4 every 4 : !flow.stream<i32, 4, 4, 4> -> …`."""

    name = "flow.gather"
    buffer = prop_def(FlatSymbolRefAttrConstr)
    tile = prop_def(IntegerAttr[I64])
    byte = prop_def(IntegerAttr[I64])
    index = operand_def(StreamType)
    limit = prop_def(IntegerAttr[I64])
    count = prop_def(IntegerAttr[I64])
    every = prop_def(IntegerAttr[I64])
    result = result_def(StreamType)
    assembly_format = (
        "$buffer `tile` $tile `byte` $byte `by` $index `limit` $limit `count` $count `every` $every attr-dict "
        "`:` type($index) `->` type($result)"
    )

    def verify_(self) -> None:
        at_least(self.name, 0, tile=self.tile, byte=self.byte)
        at_least(self.name, 1, limit=self.limit, count=self.count, every=self.every)
        index, result = stream_of(self.index).fields, stream_of(self.result).fields
        if index[0] != "i32":
            raise VerifyException(f"{self.name}: the index is {index[0]}, must be i32")
        if result[0] != "i8":
            raise VerifyException(f"{self.name}: the result is {result[0]}, a byte column is i8")


@irdl_op_definition
class ScatterOp(IRDLOperation):
    """Vectors into the words that an index value names, of the `limit` words that one stripe of a tile has in a segment:
    `flow.scatter %k to @keys segment 0 tile 0 stripe 1 by %i limit 9 count 4 : !flow.stream<f16, 4, 1, 2>, !flow.stream<i32,
    …>`."""

    name = "flow.scatter"
    source = operand_def(StreamType)
    buffer = prop_def(FlatSymbolRefAttrConstr)
    segment = prop_def(IntegerAttr[I64])
    tile = prop_def(IntegerAttr[I64])
    stripe = prop_def(IntegerAttr[I64])
    index = operand_def(StreamType)
    limit = prop_def(IntegerAttr[I64])
    count = prop_def(IntegerAttr[I64])
    assembly_format = (
        "$source `to` $buffer `segment` $segment `tile` $tile `stripe` $stripe `by` $index `limit` $limit `count` $count "
        "attr-dict `:` type($source) `,` type($index)"
    )

    def verify_(self) -> None:
        at_least(self.name, 0, segment=self.segment, tile=self.tile, stripe=self.stripe)
        at_least(self.name, 1, limit=self.limit, count=self.count)
        index = stream_of(self.index).fields
        if index[0] != "i32":
            raise VerifyException(f"{self.name}: the index is {index[0]}, must be i32")


@irdl_op_definition
class WriteOp(IRDLOperation):
    """A value into rows row, row + step, … of a tile, or one byte column of them, or some lanes (first, number) of them:
    `flow.write %y to @y tile 0 row 0 step 1 count 8 every 1 : !flow.stream<f32, 8, 1, 4>`,
    `flow.write %y to @y tile 0 row 0 step 1 count 8 every 1 window [64, 32] : !flow.stream<f32, 8, 1, 4>`, or several parts
    of them, first and number of each; or its byte streams into several rows of an i8 buffer, as for `flow.read`."""

    name = "flow.write"
    source = operand_def(StreamType)
    buffer = prop_def(FlatSymbolRefAttrConstr)
    tile = prop_def(IntegerAttr[I64])
    row = prop_def(IntegerAttr[I64])
    step = prop_def(IntegerAttr[I64])
    count = prop_def(IntegerAttr[I64])
    every = prop_def(IntegerAttr[I64])
    byte = opt_prop_def(IntegerAttr[I64])
    window = opt_prop_def(DenseArrayBase.constr(i64))
    abreast = opt_prop_def(IntegerAttr[I64])
    apart = opt_prop_def(IntegerAttr[I64])
    assembly_format = (
        "$source `to` $buffer `tile` $tile `row` $row `step` $step `count` $count `every` $every (`byte` $byte^)? "
        "(`window` $window^)? (`abreast` $abreast^ `apart` $apart)? attr-dict `:` type($source)"
    )

    def verify_(self) -> None:
        at_least(self.name, 0, tile=self.tile, row=self.row, byte=self.byte)
        at_least(self.name, 1, count=self.count, every=self.every, abreast=self.abreast, apart=self.apart)
        lanes = self.window.get_values() if self.window else (0, 1)
        if len(lanes) % 2 or min(lanes[::2], default=-1) < 0 or min(lanes[1::2]) < 1:
            raise VerifyException(f"{self.name}: window {list(lanes)} must be a first lane and a number of lanes, of each part")


def buffer_name(op: ReadOp | ReadBlockOp | GatherOp | ScatterOp | WriteOp) -> str:
    """The buffer that a node reads or writes."""
    return op.buffer.root_reference.data
