"""The node cases of the `onnx` package: which of them are in scope, and which of their inputs are attributes in truth."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ELEMENT_TYPES = ("float32", "float16", "float64", "int8", "uint8", "int32", "int64", "bool")
"""What models are made of. float64 is there because cases of CumSum and Einsum have no other type; the chip holds it as f32."""

CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
RANDOM = {"Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}
TRAINING = {"Adagrad", "Adam", "Momentum", "Gradient"}

FROZEN_INPUTS: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,), "CenterCropPad": (1,), "Clip": (), "Col2Im": (1, 2), "Compress": (1,), "ConstantOfShape": (0,),
    "CumProd": (1,), "CumSum": (1,), "DFT": (1, 2), "Dropout": (1, 2), "Expand": (1,), "MaxUnpool": (1, 2), "NonZero": (0,),
    "OneHot": (1,), "Pad": (1, 3), "Range": (0, 1, 2), "ReduceL1": (1,), "ReduceL2": (1,), "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,), "ReduceMax": (1,), "ReduceMean": (1,), "ReduceMin": (1,), "ReduceProd": (1,),
    "ReduceSum": (1,), "ReduceSumSquare": (1,), "Reshape": (1,), "Resize": (1, 2, 3), "STFT": (1, 3), "Slice": (1, 2, 3, 4),
    "Split": (1,), "SplitToSequence": (1,), "Squeeze": (1,), "Tile": (1,), "TopK": (1,), "Trilu": (1,), "Unsqueeze": (1,),
    "Upsample": (1,), "BlackmanWindow": (0,), "HammingWindow": (0,), "HannWindow": (0,), "MelWeightMatrix": (0, 1, 2, 3, 4),
    "ConvInteger": (2, 3), "DequantizeLinear": (2,), "MatMulInteger": (2, 3), "QLinearConv": (2, 5, 7),
    "QLinearMatMul": (2, 5, 7), "QuantizeLinear": (2,),
}  # fmt: skip
"""Inputs that decide shapes or (as `axis` of CumSum, and zero points) what is computed at all: known at compile time."""

SIZES_ONLY = {"Shape", "Size"}
"""What is known of a tensor whose elements are not."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model of one node, or of the nodes of its definition, with inputs and expected outputs in the model's order."""

    name: str
    operator: str
    model: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    rtol: float
    atol: float


def load_cases(modules: Sequence[str] = ()) -> list[Case]:
    """All cases, or those of these modules of `onnx.backend.test.case.node`, by name. Raises ImportError without `onnx`."""
    from onnx.backend.test.case import node as package

    chosen = modules or [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in chosen:
            importlib.import_module(module if "." in module else f"{package.__name__}.{module}")
    return sorted((_case(found) for found in package._NodeTestCases), key=lambda case: case.name)


def _case(found: Any) -> Case:
    ((inputs, outputs),) = found.data_sets
    name = found.name.removeprefix("test_")
    given, expected = (tuple(map(_array, arrays)) for arrays in (inputs, outputs))
    return Case(name, operator_of(found.model, name), found.model, given, expected, found.rtol, found.atol)


def _array(value: Any) -> Any:
    """The data of a case as an array where it is one; sequences and None stay."""
    import onnx

    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic | int | float) else value


def operator_of(model: Any, name: str) -> str:
    """The operator that a case is about; the nodes of an expanded one have its name as prefix."""
    node = model.graph.node[0]
    if "_expanded" not in name:
        return node.op_type
    edges = [edge for n in model.graph.node for edge in (*n.input, *n.output)]
    return next((edge.split("_")[0] for edge in edges if "_expanded_function_" in edge), node.op_type)


def out_of_scope(case: Case) -> str | None:
    """Why a case is not one of ours; None for one that is."""
    operators = {node.op_type for node in case.model.graph.node}
    for names, reason in ((CONTROL_FLOW, "control flow"), (RANDOM, "random numbers"), (TRAINING, "training")):
        if operators & names:
            return f"{reason}: {', '.join(sorted(operators & names))}"
    for value in (*case.model.graph.input, *case.model.graph.output):
        if not value.type.HasField("tensor_type"):
            return "sequences, optionals and maps"
    for array in (*case.inputs, *case.outputs):
        kind = array.dtype.name if isinstance(array, np.ndarray) else "a type that NumPy does not have"
        if kind not in ELEMENT_TYPES:
            return f"element type {'string' if kind == 'object' or kind.startswith('str') else kind}"
    return None


def frozen_inputs(model: Any) -> set[str]:
    """Inputs whose values decide shapes, directly or by way of other nodes."""
    needed = {
        node.input[i]
        for node in model.graph.node
        for i in FROZEN_INPUTS.get(node.op_type, ())
        if i < len(node.input) and node.input[i]
    }
    makers = {output: node for node in model.graph.node for output in node.output}
    queue = list(needed)
    while queue:
        maker = makers.get(queue.pop())
        if maker is None or maker.op_type in SIZES_ONLY:
            continue
        fresh = {name for name in maker.input if name} - needed
        needed |= fresh
        queue += fresh
    return needed & {value.name for value in model.graph.input}


def with_constants(case: Case) -> tuple[Any, dict[str, Array]]:
    """The model with its frozen and its empty inputs as initializers, and the arrays of the inputs that are left."""
    import onnx

    empty = {v.name for v, array in zip(case.model.graph.input, case.inputs, strict=True) if not array.size}
    frozen = frozen_inputs(case.model) | empty
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    named = dict(zip((value.name for value in case.model.graph.input), case.inputs, strict=True))
    kept = [value for value in model.graph.input if value.name not in frozen]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(named[name], name) for name in sorted(frozen))
    return model, {name: array for name, array in named.items() if name not in frozen}


def chosen_cases(cases: Iterable[Case], names: Sequence[str], operators: Sequence[str]) -> list[Case]:
    """Those with these names or operators; all where neither is given."""
    if not names and not operators:
        return list(cases)
    return [case for case in cases if case.name in names or case.operator in operators]
