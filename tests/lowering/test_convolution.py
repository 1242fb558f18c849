"""Random convolutions and pools on the chip, on both machines, against the reference; the reference against plain loops."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from compiler.context import new_context
from compiler.dialects import graph
from compiler.dialects.flow_reader import flow_of, program_in
from compiler.dialects.graph import Tensor
from compiler.dialects.graph_program import main_block, new_program
from compiler.dialects.graph_types import kind_of, tensor_of
from compiler.layout.window import Window
from compiler.pipeline import DEFAULT_PIPELINE, compile_graph, run_pipeline
from compiler.reference import spatial
from compiler.scheduling.trip import Feed, Read, Write
from compiler.session import Compiled, run_and_compare
from compiler.weights import WeightStore
from isa.chip import Chip, load_chip
from isa.errors import ModelFault

Array = NDArray[Any]
CHIPS = Path(__file__).parents[1] / "fuzz" / "chips"


def chip_named(name: str) -> Chip:
    path = CHIPS / f"{name}.toml"
    return load_chip(str(path) if path.exists() else name)


@dataclass(frozen=True)
class Case:
    image: tuple[int, int, int]
    columns: int
    groups: int
    window: Window
    kind: str


def random_case(seed: int, lanes: int) -> Case:
    rng = random.Random(seed)
    while True:
        groups = rng.choice((1, 1, 1, 2, 3, 0))
        inner, each = rng.choice((1, 2, 3, lanes // 2, lanes)), rng.choice((1, 2, 3, lanes // 2))
        channels, columns = (inner * groups, each * groups) if groups else (inner, inner * rng.choice((1, 1, 2)))
        window = Window(
            (rng.randint(1, 4), rng.randint(1, 4)),
            (rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 3))),
            (rng.randint(0, 2), rng.randint(0, 2), rng.randint(0, 2), rng.randint(0, 2)),
            (rng.choice((1, 1, 2)), rng.choice((1, 1, 2))),
        )
        case = Case((rng.randint(1, 9), rng.randint(1, 9), channels), columns, groups or channels, window,
                    rng.choice(("i8", "i8", "i8", "f16", "mixed")))  # fmt: skip
        try:
            window.sizes("conv2d", *case.image[:2])
        except ModelFault:
            continue
        return case


def arrays_of(case: Case, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    shape = (*case.window.kernel, case.image[2] // case.groups, case.columns)
    if case.kind == "i8":
        return rng.integers(-128, 128, case.image).astype(np.int8), rng.integers(-128, 128, shape).astype(np.int8)
    w = rng.standard_normal(shape).astype(np.float16) if case.kind == "f16" else rng.integers(-9, 9, shape).astype(np.int8)
    return rng.standard_normal(case.image).astype(np.float16), w


def program_of(case: Case, w: Array, weights: WeightStore, stored: bool) -> ModuleOp:
    """x * w; where the operand is i8 the result also goes through a scale, a bias and relu, as networks have it."""
    kinds = {"i8": ("i8", "i8"), "f16": ("f16", "f16"), "mixed": ("f16", "i8")}[case.kind]
    x = graph.InputOp("x", Tensor(kinds[0], case.image))  # pyright: ignore[reportArgumentType]
    tensor = Tensor(kinds[1], w.shape)  # pyright: ignore[reportArgumentType]
    kernel = graph.ParamOp("w", weights.add(w), tensor) if stored else graph.InputOp("w", tensor)
    window = case.window
    conv = graph.Conv2dOp(x.result, kernel.result, window.strides, window.pads, window.dilations, case.groups)
    ops: list[Operation] = [x, kernel, conv, graph.OutputOp("sum", conv.result)]
    if case.kind == "i8":
        rng = np.random.default_rng(case.columns)
        scale = graph.ConstantOp((rng.random(case.columns) * 1e-3).astype(np.float32))
        bias = graph.ConstantOp(rng.integers(-999, 999, case.columns).astype(np.int32))
        shifted = graph.BinaryOp("add", conv.result, bias.result)
        y = graph.RequantizeOp(shifted.result, scale.result)
        relu = graph.UnaryOp("relu", y.result)
        ops += [scale, bias, shifted, y, relu, graph.OutputOp("y", relu.result)]
    return new_program(ops)


def check(module: ModuleOp, weights: WeightStore, chip: Chip, inputs: dict[str, Array]) -> None:
    program = compile_graph(module.clone(), weights, chip)
    run_and_compare(Compiled(program, module, weights, 0.0), [inputs], ["fast", "reference"])


@pytest.mark.parametrize("chip", ["small", "plain"])
@pytest.mark.parametrize("batch", range(2))
def test_random_convolutions(chip: str, batch: int) -> None:
    target = chip_named(chip)
    for seed in range(batch * 4, batch * 4 + 4):
        case = random_case(seed, target.lanes)
        x, w = arrays_of(case, seed)
        weights, stored = WeightStore(), seed % 4 > 0
        module = program_of(case, w, weights, stored)
        check(module, weights, target, {"x": x} if stored else {"x": x, "w": w})


@pytest.mark.parametrize("chip", ["small", "plain"])
def test_random_pools(chip: str) -> None:
    target = chip_named(chip)
    checked = 0
    for seed in range(12):
        case = random_case(seed, target.lanes)
        window = case.window
        kind = "i8" if case.kind == "i8" else "f16"
        x = graph.InputOp("x", Tensor(kind, case.image))
        try:
            pool = graph.MaxPool2dOp(x.result, window.kernel, window.strides, window.pads, window.dilations)
        except ModelFault:
            continue
        module = new_program([x, pool, graph.OutputOp("y", pool.result)])
        check(module, WeightStore(), target, {"x": arrays_of(case, seed)[0]})
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize("seed", range(20))
def test_the_reference_is_the_definition(seed: int) -> None:
    case = random_case(seed, 8)
    x, w = arrays_of(case, seed)
    window = case.window
    found = spatial.conv2d(x, w, window, case.groups, load_chip("tiny"))
    inner, each = case.image[2] // case.groups, case.columns // case.groups
    for y, column, n in np.ndindex(*found.shape):
        total = 0.0
        for ky, kx, c in np.ndindex(*w.shape[:3]):
            row = y * window.strides[0] + ky * window.dilations[0] - window.pads[0]
            place = column * window.strides[1] + kx * window.dilations[1] - window.pads[1]
            if 0 <= row < case.image[0] and 0 <= place < case.image[1]:
                total += float(x[row, place, n // each * inner + c]) * float(w[ky, kx, c, n])
        assert found[y, column, n] == pytest.approx(total, abs=0 if case.kind == "i8" else 1e-3)


def test_planes_of_a_side_share_the_constants_of_an_epilogue() -> None:
    """A trip in which both end their sums reads each row of constants once."""
    target, weights, rng = load_chip("tsp"), WeightStore(), np.random.default_rng(0)
    ops: list[Operation] = [graph.InputOp("x", Tensor("i8", (20, 20, 64)))]
    for number in range(2):
        w = rng.integers(-9, 9, (3, 3, 64, 64)).astype(np.int8)
        kernel = graph.ParamOp(f"w{number}", weights.add(w), Tensor("i8", w.shape))
        conv = graph.Conv2dOp(ops[-1].results[0], kernel.result, (1, 1), (1, 1, 1, 1))
        scale = graph.ConstantOp((rng.random(64) * 1e-3).astype(np.float32))
        ops += [kernel, conv, scale, graph.RequantizeOp(conv.result, scale.result)]
    module = new_program([*ops, graph.OutputOp("y", ops[-1].results[0])])
    flow = flow_of(program_in(run_pipeline(module.clone(), new_context(weights, target), None, "lower-to-flow"), "test"))
    ends = [t for t in flow.trips if sum(isinstance(n, Feed) and n.result >= 0 for n in t.nodes) == 2]
    assert ends
    for trip in ends:
        read = [n.buffer for n in trip.nodes if isinstance(n, Read) and flow.buffers[n.buffer].type == "f32"]
        assert len(read) == 1
    # What the second convolution reads lies twice, for its taps make planes read each other's rows.
    writes = [[(n.source, n.row) for n in t.nodes if isinstance(n, Write)] for t in flow.trips]
    assert any(len(set(trip)) < len(trip) for trip in writes)
    program = compile_graph(module.clone(), weights, target)
    x = rng.integers(-128, 128, (20, 20, 64)).astype(np.int8)
    run_and_compare(Compiled(program, module, weights, 0.0), [{"x": x}], ["fast"])


@pytest.mark.parametrize("chip", ["small", "plain"])
@pytest.mark.parametrize("seed", range(3))
def test_networks(chip: str, seed: int) -> None:
    """A stem, a pool, two branches and their sum: packings differ between layers and outputs."""
    rng, target, weights = np.random.default_rng(seed), chip_named(chip), WeightStore()
    size, channels = int(rng.integers(6, 10)), int(rng.integers(1, 4))
    ops: list[Operation] = [graph.InputOp("x", Tensor("i8", (size, size + 1, 3)))]

    def add(op: Operation) -> SSAValue:
        ops.append(op)
        return op.results[0]

    def layer(x: SSAValue, columns: int, kernel: int, stride: int, shortcut: SSAValue | None = None) -> SSAValue:
        w = rng.integers(-9, 9, (kernel, kernel, tensor_of(x).shape[2], columns)).astype(np.int8)
        w = add(graph.ParamOp(f"w{len(ops)}", weights.add(w), Tensor("i8", w.shape)))
        total = add(graph.Conv2dOp(x, w, (stride, stride), (kernel // 2,) * 4))
        scale = add(graph.ConstantOp((rng.random(columns) * 0.1).astype(np.float32)))
        y = add(graph.RequantizeOp(total, scale))
        y = y if shortcut is None else add(graph.BinaryOp("add", y, shortcut))
        return y if seed == 1 else add(graph.UnaryOp("relu", y))

    x = layer(ops[0].results[0], channels, 3, 2)
    x = add(graph.MaxPool2dOp(x, (3, 3), (1 + seed % 2,) * 2, (1, 1, 1, 1)))
    y = layer(layer(x, 2, 1, 1), 2, 3, 1)
    z = layer(y, 5, 1, 1, layer(x, 5, 1, 1))
    ops += [graph.OutputOp("y", y), graph.OutputOp("z", z)]
    image = rng.integers(-128, 128, (size, size + 1, 3)).astype(np.int8)
    check(new_program(ops), weights, target, {"x": image})


@pytest.mark.parametrize("kind", ["int8", "f16", "f16 of f32", "unit channel", "no room"])
def test_the_host_packs_images_in_the_order_of_onnx(kind: str) -> None:
    """[1, C, H, W] in f32, converted and then seen as [H, W, C]: no operation of the chip moves the image, unless it would take
    too much of SRAM in the plain layout, where that of floats stays; whether weights are f16 or become it."""
    rng, target, weights = np.random.default_rng(3), chip_named("small"), WeightStore()
    if kind == "no room":
        words = 8 * 4 * 6 * 7 // len(target.slices("sram")) - 1
        target = target.model_copy(update={"sram": target.sram.model_copy(update={"words": words})})
    floats = kind in ("f16", "f16 of f32", "no room")
    channels = 1 if kind == "unit channel" else 3
    x = graph.InputOp("x", Tensor("f32", (1, channels, 6, 7)))
    step = graph.ConstantOp(np.float32(0.02))
    narrow = graph.CastOp(x.result, "f16") if floats else graph.QuantizeOp(x.result, step.result)
    planes = graph.ReshapeOp(narrow.result, [channels, 6, 7])
    image = graph.TransposeOp(planes.result, [1, 2, 0])
    array = rng.integers(-9, 9, (3, 3, channels, 4))
    array = array.astype(np.float32 if kind == "f16 of f32" else np.float16 if floats else np.int8)
    w = graph.ParamOp("w", weights.add(array), Tensor(kind_of(array), array.shape))
    kernel = [w, graph.CastOp(w.result, "f16")] if kind == "f16 of f32" else [w]
    conv = graph.Conv2dOp(image.result, kernel[-1].results[0], (2, 2), (1, 1, 1, 1))
    module = new_program([x, step, narrow, planes, image, *kernel, conv, graph.OutputOp("y", conv.result)])
    passes = DEFAULT_PIPELINE.partition(",lower-to-flow")[0]
    packed = run_pipeline(module.clone(), new_context(weights, target), passes)
    left = [type(op) for op in main_block(packed).ops]
    assert graph.StencilOp in left
    assert (graph.PackOp in left) == (kind != "no room")
    assert bool({graph.TransposeOp, graph.ReshapeOp} & set(left)) == (kind == "no room")
    check(module, weights, target, {"x": rng.standard_normal((1, channels, 6, 7)).astype(np.float32)})
