"""Depthwise convolutions on the vector unit: against the reference on both machines, and what they read."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from compiler.context import new_context
from compiler.dialects import graph
from compiler.dialects.flow_reader import flow_of, places_of, program_in
from compiler.dialects.graph import Tensor
from compiler.dialects.graph_program import main_block, new_program
from compiler.dialects.graph_types import tensor_of
from compiler.layout.cost import Kernel, depthwise_cycles
from compiler.layout.window import Window
from compiler.lowering.depthwise import reach_of
from compiler.pipeline import DEFAULT_PIPELINE, compile_graph, run_pipeline
from compiler.scheduling.placement_orders import operands_of_sums
from compiler.session import Compiled, run_and_compare
from compiler.transforms.choose_packings import machine_of
from compiler.weights import WeightStore
from isa.chip import load_chip

LPU = load_chip("lpu-rram")

CASES = {
    "two tiles, all sides padded": ((5, 6, 600), Window((5, 5), pads=(2, 2, 2, 2))),
    "stride": ((7, 7, 320), Window((3, 3), (2, 2), (0, 0, 1, 1))),
    "dilation, no padding": ((9, 8, 300), Window((3, 2), dilations=(2, 3))),
    "more of the window outside than inside": ((2, 3, 640), Window((3, 5), pads=(1, 2, 1, 2))),
}


def program_of(image: tuple[int, int, int], window: Window, weights: WeightStore) -> ModuleOp:
    """Expansion, depthwise convolution, scale, bias and relu, projection: a block of a mobile network."""
    rng = np.random.default_rng(image[2])

    def param(name: str, *shape: int) -> graph.ParamOp:
        return graph.ParamOp(name, weights.add(rng.integers(-128, 128, shape).astype(np.int8)), Tensor("i8", shape))

    x = graph.InputOp("x", Tensor("i8", (*image[:2], 40)))
    scale = graph.ConstantOp((rng.random(image[2]) * 1e-3).astype(np.float32))
    wide, deep, narrow = (
        param("wide", 1, 1, 40, image[2]),
        param("deep", *window.kernel, 1, image[2]),
        param("narrow", 1, 1, image[2], 24),
    )
    ops: list[Operation] = [x, wide, deep, narrow, scale]
    value = x.result
    for kernel, how, groups in ((wide, Window((1, 1)), 1), (deep, window, image[2])):
        conv = graph.Conv2dOp(value, kernel.result, how.strides, how.pads, how.dilations, groups)
        bias = graph.ConstantOp(rng.integers(-999, 999, image[2]).astype(np.int32))
        shifted = graph.BinaryOp("add", conv.result, bias.result)
        narrowed = graph.RequantizeOp(shifted.result, scale.result)
        relu = graph.UnaryOp("relu", narrowed.result)
        ops += [conv, bias, shifted, narrowed, relu]
        value = relu.result
    last = graph.Conv2dOp(value, narrow.result)
    return new_program([*ops, last, graph.OutputOp("y", last.result)])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chip_name", ["lpu-rram", "tsp"])
def test_a_block_of_a_mobile_network(chip_name: str, name: str) -> None:
    image, window = CASES[name]
    chip, weights = load_chip(chip_name), WeightStore()
    module = program_of(image, window, weights)
    packed = run_pipeline(module.clone(), new_context(weights, chip), DEFAULT_PIPELINE.partition(",lower-to-flow")[0])
    assert sum(isinstance(op, graph.DepthwiseOp) for op in main_block(packed).ops) == 1
    program = compile_graph(module.clone(), weights, chip)
    x = np.random.default_rng(1).integers(-128, 128, (*image[:2], 40)).astype(np.int8)
    machines = ["fast", "reference"] if image[0] < 5 else ["fast"]
    run_and_compare(Compiled(program, module, weights, 0.0), [{"x": x}], machines)
    products = Counter[int]()
    for op in program.operations:
        if op.mnemonic == "idot":
            products[op.fields["group"]] += op.rep
    assert sum(products.values()) == -(-image[2] // chip.lanes) * places(image, window), "padding takes no part"


def test_what_sums_read_lies_in_slices_of_its_own() -> None:
    weights = WeightStore()
    module = program_of((14, 14, 672), Window((5, 5), pads=(2, 2, 2, 2)), weights)
    program = program_in(run_pipeline(module, new_context(weights, LPU), None, "place-memory"), "test")
    flow = flow_of(program)
    found = places_of(program, flow)
    read = operands_of_sums(flow)
    assert len(read) == 24, "twelve vectors of the image and as many of the weights at once"
    units = [place.unit for name, *group in read for (s, _, t, _), place in found[name].items() if [s, t] == group]
    assert len(set(units)) == len(units)
    assert not any(name.startswith("%near") for name in flow.buffers), "weights that come near would take half of the slices"


def test_two_rows_a_vector() -> None:
    """Few channels stay on the planes, where vectors of two rows save taps."""
    image, window, weights = (16, 40, 32), Window((3, 3), pads=(1, 1, 1, 1)), WeightStore()
    module = program_of(image, window, weights)
    packed = run_pipeline(module.clone(), new_context(weights, LPU), DEFAULT_PIPELINE.partition(",lower-to-flow")[0])
    stencils = [op for op in main_block(packed).ops if isinstance(op, graph.StencilOp)]
    assert [tensor_of(op.result).shape[0] for op in stencils[:2]] == [9, 8], "row -1 comes with row 0, then rows 0 and 1"
    x = np.random.default_rng(1).integers(-128, 128, (*image[:2], 40)).astype(np.int8)
    run_and_compare(Compiled(compile_graph(module.clone(), weights, LPU), module, weights, 0.0), [{"x": x}], ["fast"])


def places(image: tuple[int, int, int], window: Window) -> int:
    """Places of all windows that lie in the image, one after the other."""
    count = 0
    for y, x in np.ndindex(*window.sizes("", *image[:2])):
        for ky, kx in np.ndindex(*window.kernel):
            row = y * window.strides[0] + ky * window.dilations[0] - window.pads[0]
            column = x * window.strides[1] + kx * window.dilations[1] - window.pads[1]
            count += 0 <= row < image[0] and 0 <= column < image[1]
    return count


@pytest.mark.parametrize("name", CASES)
def test_the_cost_counts_the_places(name: str) -> None:
    image, window = CASES[name]
    machine, kernel = machine_of(LPU), Kernel(window, image[2], image[2], image[2])
    a, b = (depthwise_cycles(kernel, (*image[:2], channels), machine) for channels in (320, 640))
    assert (b - a) * machine.products == pytest.approx(places(image, window))
    assert depthwise_cycles(Kernel(window, 1, image[2], image[2]), image, machine) == float("inf"), "channels mix"


def test_reach_is_what_lies_over_the_image() -> None:
    for size, kernel, stride, pad, dilation in np.ndindex(6, 5, 3, 4, 3):
        for output in range(4):
            begin = output * (stride + 1) - pad
            over = [k for k in range(kernel + 1) if 0 <= begin + k * (dilation + 1) < size + 1]
            if over:
                reach = reach_of(size + 1, kernel + 1, output, stride + 1, pad, dilation + 1)
                assert (list(range(reach.first, reach.end)), reach.place) == (over, begin + over[0] * (dilation + 1))
