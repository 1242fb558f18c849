"""ONNX models become graph programs with the same meaning; what cannot is listed, all of it, before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_models as models
import onnxruntime
import pytest

from compiler.declare import Reading, declare_source
from compiler.dialects import graph
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place
from compiler.frontend.onnx.importer import import_model
from compiler.reference import evaluate
from compiler.session import compile_file, run_and_compare
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.errors import DataFault, ModelFault

LPU = load_chip("lpu-rram")


def test_a_perceptron_computes_what_onnxruntime_does() -> None:
    proto = models.perceptron()
    x = np.random.default_rng(1).standard_normal((3, 2, 8)).astype(np.float32)
    weights = WeightStore()
    module = import_model(proto, "mlp.onnx", weights, {"n": (3,)}).module
    found = evaluate(module, {"x": x}, weights, LPU).outputs["y"]
    (expected,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    assert np.allclose(found, expected, atol=1e-6)


def test_shape_arithmetic_leaves_nothing_behind() -> None:
    names = [op.name for op in main_block(import_model(models.perceptron(), "mlp.onnx", WeightStore(), {"n": (3,)}).module).ops]
    assert "graph.reshape" in names
    assert names.count("graph.constant") + names.count("graph.param") == 4  # the weights, and no shape


def test_operations_are_placed_at_their_nodes() -> None:
    block = main_block(import_model(models.perceptron(), "mlp.onnx", WeightStore(), {"n": (3,)}).module)
    places = [str(source_place(op.location)) for op in block.ops if isinstance(op, (graph.MatmulOp, graph.UnaryOp))]
    assert places == ["mlp.onnx: MatMul '/fc1/MatMul'", "mlp.onnx: Relu 'c'", "mlp.onnx: Gemm '/fc2/Gemm'"]


@pytest.mark.parametrize("precision", ["f32", "f16", "i8f16"])
def test_an_onnx_file_keeps_the_promises(precision: str, tmp_path: Path) -> None:
    path = tmp_path / "mlp.onnx"
    onnx.save(models.perceptron(), path)
    compiled = compile_file(path, LPU, precision, shapes={"x": (3, 2, 8)})  # pyright: ignore[reportArgumentType]
    x = np.random.default_rng(2).standard_normal((3, 2, 8)).astype(np.float32)
    (result,) = run_and_compare(compiled, [{"x": x}], ["fast"])
    assert np.allclose(result.outputs["y"].sum(axis=1), 1, atol=1e-3)


def test_missing_dimensions_are_asked_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mlp.onnx"
    onnx.save(models.perceptron(), path)
    with pytest.raises(DataFault) as fault:
        declare_source(path, LPU, Reading())
    assert fault.value.notes == ("'x' is [n, 2, 8]",)
    assert "--shape x=N,2,8" in fault.value.hint
    assert "--shape n=N" in fault.value.hint


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"x": (3, 2, 9)}, "does not fit"),
        ({"x": (3, 16)}, "does not fit"),
        ({"z": (3,)}, "no input or dimension 'z'"),
        ({"n": (0,)}, "at least 1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(DataFault, match=words):
        import_model(models.perceptron(), "mlp.onnx", WeightStore(), shapes)


def test_every_node_that_cannot_be_compiled_is_listed() -> None:
    nodes = [
        models.node("Det", "x", "a", "first"),
        models.node("MatMul", "x w", "b", "fine"),
        models.node("NonZero", "b", "c", "second"),
        models.node("Softmax", "b", "y", "also-fine"),
        models.node("Det", "y", "d", "behind"),
    ]
    proto = models.model(nodes, {"x": ("float32", [4, 4])}, ["a", "c", "d"], {"w": np.ones((4, 4), np.float32)})
    with pytest.raises(ModelFault) as fault:
        import_model(proto, "bad.onnx", WeightStore())
    assert fault.value.message == "3 of 5 nodes cannot be compiled"
    assert [note.partition(":")[0] for note in fault.value.notes] == ["Det 'first'", "NonZero 'second'", "Det 'behind'"]
