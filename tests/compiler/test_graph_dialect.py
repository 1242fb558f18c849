"""Constructors of the graph dialect infer types, refuse what does not fit and keep source places; programs have rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from xdsl.ir import Operation, SSAValue
from xdsl.parser import Parser

from compiler.context import new_context
from compiler.dialects import graph
from compiler.dialects.graph import Tensor
from compiler.dialects.graph_program import check_program, main_block, new_program
from compiler.dialects.graph_types import source_location, source_place, tensor_of
from isa.errors import Location, ModelFault


def value(kind: str, *shape: int) -> SSAValue:
    return graph.InputOp("x", Tensor(kind, shape)).result


F = value("f32", 2, 3, 4)
H = value("f16", 4, 5)
B = value("i8", 3, 4)
W = value("i32", 3)
S = value("f32")


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (lambda: graph.UnaryOp("relu", B), "i8[3, 4]"),
        (lambda: graph.BinaryOp("add", F, value("f32", 3, 1)), "f32[2, 3, 4]"),
        (lambda: graph.BinaryOp("le", F, S), "i8[2, 3, 4]"),
        (lambda: graph.BinaryOp("shl", W, value("i32", 2, 1)), "i32[2, 3]"),
        (lambda: graph.WhereOp(B, F, S), "f32[2, 3, 4]"),
        (lambda: graph.CastOp(F, "i8"), "i8[2, 3, 4]"),
        (lambda: graph.QuantizeOp(H, S), "i8[4, 5]"),
        (lambda: graph.DequantizeOp(B, S), "f32[3, 4]"),
        (lambda: graph.RequantizeOp(W, S), "i8[3]"),
        (lambda: graph.ReduceOp("sum", H, [-1]), "f32[4]"),
        (lambda: graph.ReduceOp("sum", B, [0, 1], True), "i32[1, 1]"),
        (lambda: graph.ReduceOp("max", H, [0]), "f16[5]"),
        (lambda: graph.ReduceOp("mean", B, [0, 1]), "f32[]"),
        (lambda: graph.MatmulOp(F, value("f32", 4, 6)), "f32[2, 3, 6]"),
        (lambda: graph.MatmulOp(F, F, True, "f16"), "f32[2, 3, 3]"),
        (lambda: graph.MatmulOp(B, B, True), "i32[3, 3]"),
        (lambda: graph.MatmulOp(value("f16", 2, 4), value("i8", 4, 9)), "f32[2, 9]"),
        (lambda: graph.SoftmaxOp(H), "f16[4, 5]"),
        (lambda: graph.ReshapeOp(F, [6, 4]), "f32[6, 4]"),
        (lambda: graph.TransposeOp(F, [2, 0, 1]), "f32[4, 2, 3]"),
        (lambda: graph.SliceOp(H, [1, 0], [2, 3], [2, 2]), "f16[2, 3]"),
        (lambda: graph.ConcatOp([B, value("i8", 3, 2)], -1), "i8[3, 6]"),
        (lambda: graph.PadOp(B, [0, 1], [2, 0], -3), "i8[5, 5]"),
        (lambda: graph.GatherOp(H, W), "f16[3, 5]"),
        (lambda: graph.ScatterOp(H, value("f16", 3, 5), W), "f16[4, 5]"),
        (lambda: graph.InsertOp(H, value("f16", 1, 5), [3, 0]), "f16[4, 5]"),
        (lambda: graph.BroadcastOp(B, [7, 3, 4]), "i8[7, 3, 4]"),
    ],
)
def test_constructor_infers_what_the_verifier_accepts(op: Callable[[], Operation], expected: str) -> None:
    made = op()
    made.verify()
    assert str(tensor_of(made.results[0])) == expected


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (lambda: graph.MatmulOp(value("i8", 4, 64), value("i8", 32, 4)), "matmul: inner sizes differ: 64 and 32"),
        (lambda: graph.MatmulOp(value("f16", 4, 64), value("f16", 32, 4), groups=2), "groups are for i8·i8, not 2 of them"),
        (lambda: graph.MatmulOp(value("i8", 4, 64), value("i8", 32, 3), groups=2), "does not fall into 2 groups"),
        (lambda: graph.MatmulOp(value("i8", 4, 64), value("i8", 64, 4), groups=2), "inner sizes differ: 64 and 128"),
        (lambda: graph.MatmulOp(H, H, False, "f8"), "precision 'f8' must be f32 or f16"),
        (lambda: graph.MatmulOp(value("i8", 4), B), "operands need two axes"),
        (lambda: graph.UnaryOp("tanh", W), "tanh: the operand is i32"),
        (lambda: graph.BinaryOp("mul", F, H), "element types differ"),
        (lambda: graph.ReduceOp("sum", F, [1, -2]), "none twice"),
        (lambda: graph.ReduceOp("sum", F, []), "at least one axis"),
        (lambda: graph.ReduceOp("sum", F, [3]), "axis 3 of a tensor of rank 3"),
        (lambda: graph.ConcatOp([], 0), "nothing to put together"),
        (lambda: graph.ConcatOp([H], 5), "axis 5"),
        (lambda: graph.PadOp(B, [0, 0], [0, 0], 200), "200 is not a value of i8"),
        (lambda: graph.PadOp(B, [-1, 0], [0, 0]), "none negative"),
        (lambda: graph.ReshapeOp(F, [-1, 4]), "reshape"),
        (lambda: graph.InputOp("x", Tensor("f32", (0,))), "at least 1"),
        (lambda: graph.ConstantOp(np.zeros(3)), "float64 is no element type"),
    ],
)
def test_constructor_refuses(op: Callable[[], Operation], message: str) -> None:
    with pytest.raises(ModelFault, match=message):
        op()


def test_fault_and_operation_have_the_source_place() -> None:
    place = source_location("model.lks", 7, 3)
    assert source_place(graph.UnaryOp("exp", F, location=place).location) == Location("model.lks", 7, 3)
    with pytest.raises(ModelFault, match=r"^model.lks:7:3: error: exp"):
        graph.UnaryOp("exp", B, location=place)


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(), (3,), (20, 10)])
def test_constants_survive_text(dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(-100, 100, shape).astype(dtype)
    constant = graph.ConstantOp(array)
    text = str(new_program([constant, graph.OutputOp("y", constant.result)]))
    parsed = Parser(new_context(), text).parse_module()
    parsed.verify()
    read = next(op for op in main_block(parsed).ops if isinstance(op, graph.ConstantOp)).array
    assert read.dtype == dtype
    assert read.shape == shape
    assert read.tobytes() == array.tobytes()


def test_programs_that_are_none() -> None:
    x = graph.InputOp("x", Tensor("f32", (2,)))
    with pytest.raises(ModelFault, match="nothing comes out"):
        check_program(new_program([x]))
    state, wrong = graph.StateOp("s", Tensor("f32", (3,))), graph.InputOp("x", Tensor("f32", (2,)))
    with pytest.raises(ModelFault, match="the state is f32"):
        check_program(new_program([state, wrong, graph.UpdateOp("s", wrong.result)]))
    lone = graph.InputOp("x", Tensor("f32", (2,)))
    with pytest.raises(ModelFault, match="no such state"):
        check_program(new_program([lone, graph.UpdateOp("t", lone.result)]))
    twice = graph.InputOp("x", Tensor("f32", (2,)))
    with pytest.raises(ModelFault, match="two of output have the name 'y'"):
        check_program(new_program([twice, graph.OutputOp("y", twice.result), graph.OutputOp("y", twice.result)]))
    with pytest.raises(ModelFault, match="no function @main"):
        main_block(Parser(new_context(), "func.func @other() { func.return }").parse_module())
