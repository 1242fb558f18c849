"""Passes keep every bit: random graphs are evaluated before and after each. Then what single passes promise to leave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass, PassPipeline

from compiler.context import LockstepContext, new_context
from compiler.dialects import graph
from compiler.dialects.graph import Tensor
from compiler.dialects.graph_program import inputs, main_block, new_program, params, states
from compiler.dialects.graph_types import kind_of, source_location, source_place, tensor_of
from compiler.passes import PASSES
from compiler.reference import Evaluation, evaluate
from compiler.transforms.canonicalize_graph import CanonicalizeGraphPass
from compiler.transforms.common_subexpressions import CommonSubexpressionsPass
from compiler.transforms.decompose import PRIMITIVE, DecomposePass
from compiler.transforms.fold_constants import FoldConstantsPass
from compiler.transforms.set_precision import SetPrecisionPass, quantise_columns
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.errors import DataFault, ModelFault
from isa.layout import NUMPY_TYPES

Array = NDArray[Any]
TINY = load_chip("tiny")
KEEPING: dict[str, tuple[ModulePass, ...]] = {
    "decompose": (DecomposePass(),),
    "canonicalize": (CanonicalizeGraphPass(),),
    "fold": (FoldConstantsPass(),),
    "fold to params": (FoldConstantsPass(constant_bytes=4),),
    "cse": (CommonSubexpressionsPass(),),
    "all": (DecomposePass(), CanonicalizeGraphPass(), FoldConstantsPass(constant_bytes=16), CommonSubexpressionsPass()),
    "twice": (
        FoldConstantsPass(constant_bytes=4),
        DecomposePass(),
        FoldConstantsPass(constant_bytes=4),
        CanonicalizeGraphPass(),
    ),
}
SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (11,), (3, 4), (4, 3), (2, 19), (1, 5), (2, 3, 4), (1, 3, 1))


def random_array(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    """Mostly small numbers, with infinities, NaNs of any payload, zeros of both signs and limits among them."""
    dtype = NUMPY_TYPES[kind]
    if kind[0] == "i":
        limits = np.iinfo(dtype)
        wild = rng.integers(limits.min, limits.max, shape, endpoint=True)
        return np.where(rng.random(shape) < 0.3, wild, rng.integers(-9, 9, shape)).astype(dtype)
    array = np.array(rng.standard_normal(shape) * 3, dtype)
    odd = rng.random(shape) < 0.1
    strange = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 65504, 6e-8], dtype)
    array = np.where(odd, strange[rng.integers(0, len(strange), shape)], array)
    bits = array.view(np.uint16 if kind == "f16" else np.uint32)
    return (bits + np.isnan(array) * rng.integers(0, 100, shape).astype(bits.dtype)).astype(bits.dtype).view(dtype)


class Grower:
    """Grows a program by operations on values chosen at random; those that do not fit are dropped."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.weights = WeightStore()
        self.operations: list[Operation] = []
        self.values: list[SSAValue] = []
        for i in range(8):
            self.source(i)

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(0, len(items)))]

    def add(self, op: Operation) -> None:
        self.operations.append(op)
        self.values.append(op.results[0])

    def source(self, number: int) -> None:
        tensor = Tensor(self.pick(("i8", "f16", "i32", "f32", "f32", "f16")), self.pick(SHAPES))
        array = random_array(self.rng, *tensor)
        location = source_location("grown.lks", number + 1, 1)
        match number % 4:
            case 0:
                self.add(graph.InputOp(f"x{number}", tensor, location=location))
            case 1:
                self.add(graph.ParamOp(f"w{number}", self.weights.add(array), tensor, location=location))
            case 2:
                self.add(graph.StateOp(f"s{number}", tensor, location=location))
            case _:
                self.add(graph.ConstantOp(array, location=location))

    def value(self) -> SSAValue:
        return self.values[-1 - min(int(self.rng.exponential(4)), len(self.values) - 1)]

    def alike(self, x: SSAValue) -> SSAValue:
        """A value of the type of x."""
        kind = tensor_of(x).type
        return self.pick([v for v in self.values if tensor_of(v).type == kind])

    def elementwise(self, x: SSAValue) -> Operation:
        choice = self.rng.integers(0, 6)
        if choice < 2:
            return graph.UnaryOp(self.pick([f.value for f in graph.UnaryFunction]), x)
        if choice < 4:
            return graph.BinaryOp(self.pick([f.value for f in graph.BinaryFunction]), x, self.alike(x))
        if choice == 4:
            return graph.CastOp(x, self.pick(("i8", "f16", "i32", "f32")))
        conditions = [v for v in self.values if tensor_of(v).type == "i8"]
        return graph.WhereOp(self.pick(conditions or [x]), x, self.alike(x))

    def composite(self, x: SSAValue) -> Operation:
        kind, shape = tensor_of(x)
        row = [v for v in self.values if tensor_of(v).shape == shape[-1:] and tensor_of(v).type[0] == "f"]
        scales = [v for v in self.values if tensor_of(v).type == "f32" and len(tensor_of(v).shape) <= len(shape)]
        choice = self.rng.integers(0, 6)
        if choice == 0:
            return graph.SoftmaxOp(x)
        if choice == 1:
            return graph.LayerNormOp(x, self.pick(row or [x]), self.pick(row or [x]))
        if choice == 2:
            return graph.RmsNormOp(x, self.pick(row or [x]))
        if choice == 3:
            scaled = {"i8": graph.DequantizeOp, "i32": graph.RequantizeOp}.get(kind, graph.QuantizeOp)
            return scaled(x, self.pick(scales or [x]))
        axes = [a for a in range(len(shape)) if self.rng.random() < 0.6]
        return graph.ReduceOp(self.pick(("sum", "max", "min", "mean")), x, axes, bool(self.rng.integers(0, 2)))

    def product(self, x: SSAValue) -> Operation:
        shape = tensor_of(x).shape
        fitting = [v for v in self.values if len(tensor_of(v).shape) > 1 and shape[-1:] == tensor_of(v).shape[-1:]]
        across = [v for v in self.values if len(tensor_of(v).shape) > 1 and shape[-1:] == tensor_of(v).shape[-2:-1]]
        if across and self.rng.random() < 0.7:
            return graph.MatmulOp(x, self.pick(across))
        return graph.MatmulOp(x, self.pick(fitting or [x]), True)

    def spatial(self, x: SSAValue) -> Operation:
        kernel, strides, dilations = ([int(n) for n in self.rng.integers(1, 3, 2)] for _ in range(3))
        pads = [int(n) for n in self.rng.integers(0, 2, 4)]
        x = self.pick([v for v in self.values if len(tensor_of(v).shape) == 3] or [x])
        if self.rng.random() < 0.5 or len(tensor_of(x).shape) != 3:
            return graph.MaxPool2dOp(x, kernel, strides, pads, dilations)
        kind, shape = tensor_of(x)
        groups = self.pick((1, shape[-1]))
        array = random_array(self.rng, self.pick((kind, "i8")), (*kernel, shape[-1] // groups, 2 * groups))
        name = f"w{len(self.operations)}"
        w = graph.ParamOp(f"kernel{name}", self.weights.add(array), Tensor(kind_of(array), array.shape))
        conv = graph.Conv2dOp(x, w.result, strides, pads, dilations, groups)
        w.location = conv.location = source_location("grown.lks", 9, 1)
        self.operations.append(w)
        return conv

    def move(self, x: SSAValue) -> Operation:
        shape = tensor_of(x).shape
        rank = len(shape)
        match int(self.rng.integers(0, 10)):
            case 0:
                return graph.TransposeOp(x, [int(a) for a in self.rng.permutation(rank)])
            case 1:
                return graph.ReshapeOp(x, self.pick([s for s in SHAPES if np.prod(s) == np.prod(shape)] or [shape[::-1]]))
            case 2:
                offsets = [int(self.rng.integers(0, n)) for n in shape]
                strides = [int(self.rng.integers(1, 3)) for _ in shape]
                sizes = [
                    int(self.rng.integers(1, (n - o - 1) // s + 2)) for n, o, s in zip(shape, offsets, strides, strict=True)
                ]
                return graph.SliceOp(x, offsets, sizes, strides)
            case 3:
                return graph.ConcatOp([x, *([self.alike(x)] if self.rng.random() < 0.7 else [])], 0)
            case 4:
                low, high = ([int(self.rng.integers(0, 2)) for _ in shape] for _ in range(2))
                return graph.PadOp(x, low, high, -2)
            case 5:
                return graph.BroadcastOp(x, self.pick([s for s in SHAPES if s[-rank:] == shape] or [(2, *shape)]))
            case 6:
                index = graph.ConstantOp(self.rng.integers(0, shape[0] if shape else 1, (3,)).astype(np.int32))
                self.add(index)
                return graph.GatherOp(x, index.result)
            case 7:
                index = graph.ConstantOp(self.rng.integers(0, shape[0] if shape else 1, shape[:1]).astype(np.int32))
                self.add(index)
                return graph.ScatterOp(x, self.alike(x), index.result)
            case 8 if rank:
                return graph.TakeOp(x, [int(c) for c in self.rng.integers(0, shape[-1], int(self.rng.integers(1, 5)))])
            case _:
                return graph.InsertOp(x, self.alike(x), [0] * rank)

    def program(self) -> ModuleOp:
        """About twenty operations; what nobody uses comes out, but for some that stay dead."""
        line = 10
        while line < 30:
            grow = self.pick(
                (self.elementwise, self.elementwise, self.composite, self.product, self.spatial, self.move, self.move)
            )
            try:
                op = grow(self.value())
            except ModelFault:
                continue
            if tensor_of(op.results[0]).elements > 2000:
                continue
            op.location = source_location("grown.lks", line, 1)
            self.add(op)
            line += 1
        unused = [v for v in self.values if not v.uses and self.rng.random() < 0.9] or self.values[-1:]
        sinks: list[Operation] = [graph.OutputOp(f"y{i}", v) for i, v in enumerate(unused)]
        for state in [op for op in self.operations if isinstance(op, graph.StateOp)]:
            alike = [v for v in self.values if tensor_of(v) == state.tensor]
            sinks.append(graph.UpdateOp(state.label, alike[-1]))
        return new_program([*self.operations, *sinks])


def call(module: ModuleOp, weights: WeightStore, seed: int) -> Evaluation:
    rng = np.random.default_rng(seed)
    given, before = ({n: random_array(rng, *op.tensor) for n, op in ops.items()} for ops in (inputs(module), states(module)))
    return evaluate(module, given, weights, TINY, before)


def bits(evaluation: Evaluation) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    named = {**evaluation.outputs, **{f"state {name}": array for name, array in evaluation.states.items()}}
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in named.items()}


def apply(module: ModuleOp, passes: Iterable[ModulePass], context: LockstepContext) -> ModuleOp:
    changed = module.clone()
    PassPipeline(tuple(passes), lambda before, op, after: op.verify()).apply(context, changed)
    changed.verify()
    return changed


@pytest.mark.parametrize("seed", range(64))
def test_passes_keep_every_bit(seed: int) -> None:
    grower = Grower(seed)
    module = grower.program()
    module.verify()
    text, before = str(module), bits(call(module, grower.weights, seed))
    for name, passes in KEEPING.items():
        after = apply(module, passes, new_context(grower.weights, TINY))
        assert bits(call(after, grower.weights, seed)) == before, f"{name}\n{text}\n{after}"

        assert all(source_place(op.location) for op in main_block(after).ops if isinstance(op, graph.GraphOp)), name


def test_random_programs_use_every_operation() -> None:
    seen = {type(op) for seed in range(80) for op in main_block(Grower(seed).program()).ops}
    packed = {graph.PackOp, graph.StencilOp, graph.DepthwiseOp}  # they speak of one chip: see tests/layout
    assert set(graph.Graph.operations) - packed <= seen


@pytest.mark.parametrize("seed", range(0, 80, 4))
def test_decompose_leaves_only_primitives(seed: int) -> None:
    grower = Grower(seed)
    module, tsp = grower.program(), load_chip("tsp")
    for chip in (TINY, tsp):
        for op in main_block(apply(module, [DecomposePass()], new_context(grower.weights, chip))).ops:
            assert not isinstance(op, graph.ScaledOp | graph.SoftmaxOp | graph.LayerNormOp | graph.RmsNormOp)
            assert not (isinstance(op, graph.UnaryOp) and op.fn.data not in PRIMITIVE)
            assert not (isinstance(op, graph.BinaryOp) and op.fn.data == "div")
            assert not (isinstance(op, graph.ReduceOp) and op.fn.data == "mean")
            if isinstance(op, graph.MatmulOp):
                kinds = tensor_of(op.a).type, tensor_of(op.b).type
                assert kinds in {("i8", "i8"), ("f16", "f16"), ("f16", "i8")} - ({("f16", "i8")} if chip is tsp else set())


@pytest.mark.parametrize("name", ["tiny", "tsp"])
def test_mixed_products_keep_their_bits_on_chips_with_and_without_the_mode(name: str) -> None:
    chip, rng, weights = load_chip(name), np.random.default_rng(3), WeightStore()
    x = graph.InputOp("x", Tensor("f16", (4, 700)))
    w = graph.ParamOp("w", weights.add(rng.integers(-128, 128, (700, 5)).astype(np.int8)), Tensor("i8", (700, 5)))
    product = graph.MatmulOp(x.result, w.result)
    module = new_program([x, w, product, graph.OutputOp("y", product.result)])
    given = {"x": rng.standard_normal((4, 700)).astype(np.float16)}
    after = apply(module, [DecomposePass(), FoldConstantsPass(constant_bytes=0)], new_context(weights, chip))
    assert bits(evaluate(after, given, weights, chip)) == bits(evaluate(module, given, weights, chip))
    folded = [op for op in main_block(after).ops if isinstance(op, graph.ParamOp) and op.label.startswith("folded.")]
    assert len(folded) == (0 if name == "tiny" else 1)


def linear(weights: WeightStore, w: Array, transposed: bool = False) -> ModuleOp:
    """y = x · w and z = x · 2 · w, x f32 [3, K]."""
    depth = w.shape[1 if transposed else 0]
    x = graph.InputOp("x", Tensor("f32", (3, depth)))
    param = graph.ParamOp("w", weights.add(w), Tensor("f32", w.shape))
    twice = graph.BinaryOp("add", x.result, x.result)
    y, z = (graph.MatmulOp(v, param.result, transposed) for v in (x.result, twice.result))
    return new_program([x, param, twice, y, z, graph.OutputOp("y", y.result), graph.OutputOp("z", z.result)])


@pytest.mark.parametrize("transposed", [False, True])
def test_i8f16_quantises_each_column_once(transposed: bool) -> None:
    rng, weights = np.random.default_rng(4), WeightStore()
    w = (rng.standard_normal((12, 5)) * [1, 10, 100, 0, 0.01]).astype(np.float32)
    module = linear(weights, w.T if transposed else w, transposed)
    after = apply(module, [SetPrecisionPass(matmul="i8f16")], new_context(weights, TINY))
    q, scale = quantise_columns(w)
    assert np.abs(q).max(axis=0).tolist() == [127, 127, 127, 0, 127]
    quantised = [p for p in params(after).values() if p.tensor.type == "i8"]
    assert len(quantised) == 1
    np.testing.assert_array_equal(weights.get(quantised[0].digest.data), q.T if transposed else q)
    x = rng.standard_normal((3, 12)).astype(np.float32)
    y = evaluate(after, {"x": x}, weights, TINY).outputs["y"]
    exact = x.astype(np.float64) @ w.astype(np.float64)
    assert (np.abs(y - exact) <= 12 * 0.6 * scale * np.abs(x).max()).all()
    assert np.abs(y - exact).max() > 0


def test_i8f16_without_data_says_so() -> None:
    module = linear(WeightStore(), np.ones((4, 4), np.float32))
    with pytest.raises(DataFault, match="no weights"):
        SetPrecisionPass(matmul="i8f16").apply(new_context(), module)
    with pytest.raises(ModelFault, match="'i4' is none of f32, f16, i8f16"):
        SetPrecisionPass(matmul="i4").apply(new_context(), module)


def test_infinite_weights_are_not_quantised() -> None:
    weights = WeightStore()
    module = linear(weights, np.full((4, 4), np.inf, np.float32))
    with pytest.raises(ModelFault, match="'w' is not finite"):
        SetPrecisionPass(matmul="i8f16").apply(new_context(weights), module)


def test_f32_precision_of_a_parameter_folds_to_two_f16_parameters() -> None:
    weights = WeightStore()
    module = linear(weights, np.random.default_rng(5).standard_normal((6, 4)).astype(np.float32))
    passes = [SetPrecisionPass(), DecomposePass(), FoldConstantsPass(constant_bytes=4), CanonicalizeGraphPass()]
    after = apply(module, passes, new_context(weights, TINY))
    assert [str(p.tensor) for p in params(after).values()] == ["f16[6, 4]", "f16[6, 4]"]
    assert sum(isinstance(op, graph.MatmulOp) for op in main_block(after).ops) == 6


@pytest.mark.parametrize("first", ["i8", "f16", "i32", "f32"])
def test_pairs_of_conversions_keep_every_bit(first: str) -> None:
    """Of every value that is odd for its type, NaNs with payloads among them."""
    array = random_array(np.random.default_rng(6), first, (400,))
    kinds = ("i8", "f16", "i32", "f32")
    x = graph.InputOp("x", Tensor(first, (400,)))
    casts = {(a, b): graph.CastOp(x.result, a) for a in kinds for b in kinds}
    seconds = {key: graph.CastOp(op.result, key[1]) for key, op in casts.items()}
    results = [graph.OutputOp("_".join(key), op.result) for key, op in seconds.items()]
    module = new_program([x, *casts.values(), *seconds.values(), *results])
    after = apply(module, [CanonicalizeGraphPass()], new_context())
    given = {"x": array}
    assert bits(evaluate(after, given, WeightStore(), TINY)) == bits(evaluate(module, given, WeightStore(), TINY))
    left = sum(isinstance(op, graph.CastOp) for op in main_block(after).ops)
    assert left < sum(isinstance(op, graph.CastOp) for op in main_block(module).ops)


@pytest.mark.parametrize(
    ("name", "bound", "bounded_as"),
    [("max", 0.0, ["i8"]), ("max", -7.0, ["i8"]), ("max", -0.5, ["i8"]), ("max", -129.0, []), ("max", 3.0, ["f32"]),
     ("min", 6.0, ["i8"]), ("min", 6.7, ["i8"]), ("min", 127.2, []), ("min", -1.0, ["f32"]), ("min", np.nan, ["f32"]),
     ("add", 0.0, ["f32"])],
)  # fmt: skip
def test_bounds_of_what_becomes_bytes_are_bounds_of_bytes(name: str, bound: float, bounded_as: list[str]) -> None:
    """Where NaN, infinities and values between two bytes give the same; what no byte can pass is no bound."""
    x = graph.InputOp("x", Tensor("f32", (400,)))
    limit = graph.ConstantOp(np.array(bound, np.float32))
    bounded = graph.BinaryOp(name, x.result, limit.result)
    y = graph.CastOp(bounded.result, "i8")
    module = new_program([x, limit, bounded, y, graph.OutputOp("y", y.result)])
    after = apply(module, [CanonicalizeGraphPass()], new_context())
    odd = random_array(np.random.default_rng(8), "f32", (200,))
    given = {"x": np.concatenate([odd, np.linspace(-9, 9, 200, dtype=np.float32)])}
    assert bits(evaluate(after, given, WeightStore(), TINY)) == bits(evaluate(module, given, WeightStore(), TINY))
    left = [tensor_of(op.result).type for op in main_block(after).ops if isinstance(op, graph.BinaryOp)]
    assert left == bounded_as


@pytest.mark.parametrize(("permutation", "taken_in"), [((0, 2, 1), True), ((1, 0, 2), False), ((2, 1, 0), False)])
@pytest.mark.parametrize("transposed", [False, True])
def test_only_a_swap_of_the_last_two_axes_goes_into_a_product(
    permutation: tuple[int, ...], taken_in: bool, transposed: bool
) -> None:
    x, y = (graph.InputOp(name, Tensor("i8", (3, 3, 3))) for name in "xy")
    turned = graph.TransposeOp(y.result, permutation)
    product = graph.MatmulOp(x.result, turned.result, transposed)
    module = new_program([x, y, turned, product, graph.OutputOp("y", product.result)])
    after = apply(module, [CanonicalizeGraphPass()], new_context())
    assert bits(call(after, WeightStore(), 1)) == bits(call(module, WeightStore(), 1))
    assert any(isinstance(op, graph.TransposeOp) for op in main_block(after).ops) != taken_in


def test_canonicalize_leaves_nothing_dead() -> None:
    grower = Grower(7)
    after = apply(grower.program(), [CanonicalizeGraphPass()], new_context(grower.weights))
    for op in main_block(after).ops:
        assert isinstance(op, graph.InputOp | graph.StateOp | graph.SinkOp | ReturnOp) or op.results[0].uses


def test_passes_are_registered_under_their_names() -> None:
    for name in ("set-precision", "decompose", "canonicalize-graph", "fold-constants", "common-subexpressions"):
        assert PASSES[name]().name == name
