"""Calibration: from samples to int8 scales in the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place
from compiler.quantisation.estimate import estimate
from compiler.quantisation.exponentials import LARGEST, in_steps, maximum_of
from compiler.quantisation.insert import insert_scales
from compiler.quantisation.normalised import norms, with_integer_sums
from compiler.quantisation.points import points
from compiler.quantisation.ranges import Method, Range
from compiler.transforms.late_division import divide_after
from compiler.transforms.set_precision import open_products
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.errors import ModelFault

Array = NDArray[Any]


def calibrate(
    module: ModuleOp, samples: Sequence[Mapping[str, Array]], method: Method, weights: WeightStore, chip: Chip
) -> None:
    """Run the samples through the float graph, then quantise everything that goes into its products, and what norms sum.

    Raises ModelFault for programs with states, for values that become infinite or NaN, and for weights that are not finite.
    """
    if any(isinstance(op, graph.StateOp) for op in main_block(module).ops):
        raise ModelFault("a program with states cannot be calibrated from single samples", hint="use --precision f16 or i8f16")
    for product in open_products(module):
        if isinstance(product, graph.MatmulOp):
            divide_after(product)
    multiplied, normalised = points(module), norms(module)
    maxima = {value: found for value in multiplied if (found := maximum_of(value)) is not None}
    ranges = {value: Range() for value in (*multiplied, *maxima.values(), *(norm.x for norm in normalised))}

    def observe(value: SSAValue, array: Array) -> None:
        if value in ranges:
            if not np.isfinite(array).all():
                assert isinstance(value.owner, Operation)
                raise ModelFault("calibration finds values that are infinite or NaN here", source_place(value.owner.location))
            ranges[value].add(array)

    for sample in samples:
        estimate(module, sample, weights, chip, observe)
    steps = {value: ranges[value].scale(method) for value in multiplied}
    for shares, most in maxima.items():
        if ranges[most].largest <= LARGEST:
            del steps[shares]
            steps[in_steps(shares)] = np.float32(1)
    rounded = [(norm, ranges[norm.x].scale("minmax")) for norm in normalised]
    insert_scales(module, steps, weights)
    for norm, step in rounded:
        with_integer_sums(norm, step)
