"""Models and data that are wrong: a clear fault that names what and where, never another exception."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models as models
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from compiler.cli.main import lockstep
from compiler.declare import Reading, declare_source
from compiler.frontend.onnx.importer import import_model
from compiler.reference import evaluate
from compiler.session import compile_source
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.errors import DataFault, ModelFault, ToolchainError

LPU, TINY = load_chip("lpu-rram"), load_chip("tiny")
N = {"n": (3,)}


def fault_of(proto: onnx.ModelProto, shapes: Any = N) -> ToolchainError:
    with pytest.raises(ToolchainError) as fault:
        import_model(proto, "bad.onnx", WeightStore(), shapes)
    return fault.value


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 50, b"not a model", b"\xff" * 300, models.perceptron().SerializeToString()[:300]]
)
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFault, match="not an ONNX model") as fault:
        declare_source(path, LPU, Reading())
    assert "bad.onnx" in str(fault.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="cannot read the file"):
        declare_source(tmp_path / "no.onnx", LPU, Reading())


def edited(edit: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    proto = models.perceptron()
    edit(proto)
    return proto


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: setattr(m.opset_import[0], "version", 6), "operator set 6; 7 to"),
        (lambda m: setattr(m.opset_import[0], "version", 999), "operator set 999"),
        (lambda m: setattr(m.graph.node[2], "op_type", "Rleu"), "breaks the rules of ONNX"),
        (lambda m: m.graph.node[0].input.__setitem__(0, "nowhere"), "breaks the rules of ONNX"),
        (lambda m: m.graph.node.append(helper.make_node("Relu", ["y"], ["y"])), "breaks the rules of ONNX"),
        (lambda m: m.graph.output.append(helper.make_tensor_value_info("z", 1, [1])), "breaks the rules of ONNX"),
    ],
)
def test_models_that_break_the_rules_are_refused(edit: Any, words: str) -> None:
    assert words in str(fault_of(edited(edit)))


def test_an_operator_of_another_domain_is_listed_with_its_reason() -> None:
    def edit(m: onnx.ModelProto) -> None:
        m.graph.node[2].domain = "com.example"
        m.opset_import.append(helper.make_opsetid("com.example", 1))

    text = str(fault_of(edited(edit)))
    assert "com.example.Relu 'c'" in text
    assert "operators of the domain 'com.example' are not known" in text


@pytest.mark.parametrize("name", ["weights.bin", ""])
def test_external_data_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ext.onnx"
    onnx.save(models.perceptron(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert declare_source(path, LPU, Reading("f32", N)).inputs
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(DataFault, match="tensors lie in external files") as fault:
        declare_source(path, LPU, Reading("f32", N))
    assert "tensor 'w1' lies in 'weights.bin'" in fault.value.notes


def test_weights_beyond_f16_are_named_with_their_layer(tmp_path: Path) -> None:
    proto = models.perceptron()
    w = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    w[2, 3] = 1e6
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(w, "w1"))
    path = tmp_path / "big.onnx"
    onnx.save(proto, path)
    for precision in ("f16", "f32"):
        with pytest.raises(ModelFault, match=r"'w1' holds 1000000\.0 at \[2, 3\], beyond 65504") as fault:
            declare_source(path, LPU, Reading(precision, N))  # pyright: ignore[reportArgumentType]
        assert "MatMul '/fc1/MatMul'" in str(fault.value)
    declare_source(path, LPU, Reading("i8f16", N))  # a scale a column holds it


def test_a_model_that_does_not_fit_says_what_and_how_much(tmp_path: Path) -> None:
    w = np.ones((400, 4000), np.float32)
    proto = models.model([models.node("MatMul", "x w", "y", "/big")], {"x": ("float32", [1, 400])}, ["y"], {"w": w})
    path = tmp_path / "large.onnx"
    onnx.save(proto, path)
    with pytest.raises(ModelFault) as fault:
        compile_source(path, TINY, Reading("f16"))
    text = str(fault.value)
    assert "parameter 'w'" in text
    assert fault.value.hint


def test_the_command_line_prints_a_message_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\x08\x99")
    done = CliRunner().invoke(lockstep, ["compile", str(path)])
    assert done.exit_code == 1
    assert "not an ONNX model" in done.output
    assert "Traceback" not in done.output


# Mutated models: a fault that is ours, or the right answer.

MUTANTS = 150


def mutated(random: np.random.Generator) -> onnx.ModelProto:
    """A perceptron with one or two things changed."""
    proto = models.perceptron()
    for _ in range(random.integers(1, 3)):
        MUTATIONS[random.integers(len(MUTATIONS))](proto.graph, random)
    return proto


def _node(graph: onnx.GraphProto, random: np.random.Generator) -> onnx.NodeProto:
    return graph.node[random.integers(len(graph.node))]


def _names(graph: onnx.GraphProto) -> list[str]:
    return ["", "x", *(t.name for t in graph.initializer), *(o for n in graph.node for o in n.output)]


def _other_input(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    node, names = _node(graph, random), _names(graph)
    node.input[random.integers(len(node.input))] = names[random.integers(len(names))]


def _other_operator(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    names = sorted({op for domain, op in importer_table() if not domain})
    _node(graph, random).op_type = names[random.integers(len(names))]


def importer_table() -> Any:
    from compiler.frontend.onnx.translators import TRANSLATORS

    return TRANSLATORS


def _no_node(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    graph.node.remove(_node(graph, random))


def _swapped_nodes(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    i, j = random.integers(len(graph.node), size=2)
    first, second = copy.deepcopy(graph.node[i]), copy.deepcopy(graph.node[j])
    graph.node[i].CopyFrom(second)
    graph.node[j].CopyFrom(first)


def _other_attribute(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    names = ["axis", "transB", "transA", "alpha", "perm", "keepdims", "strides", "to"]
    values: list[Any] = [0, 1, -1, 7, 2**40, 0.5, [1, 0], [0, 0, 9], "text", []]
    attribute = helper.make_attribute(names[random.integers(len(names))], values[random.integers(9)])
    _node(graph, random).attribute.append(attribute)


def _other_constant(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    tensor = graph.initializer[random.integers(len(graph.initializer))]
    array = np.zeros(tensor.dims)
    kinds = ["float32", "float16", "int64", "int8", "uint8", "bool", "float64", "int32"]
    shapes = [array.shape, array.shape[::-1], (), (0,), (array.size,), (1, *array.shape)]
    shape = shapes[random.integers(len(shapes))]
    made = random.integers(-4, 20, shape).astype(kinds[random.integers(len(kinds))])
    tensor.CopyFrom(numpy_helper.from_array(made, tensor.name))


def _other_function(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    names = ["Tanh", "Sigmoid", "Neg", "Abs", "Softplus", "Identity", "Exp", "LeakyRelu", "Elu"]
    for node in graph.node:
        if node.op_type in ("Relu", "Softmax"):
            del node.attribute[:]
            node.op_type = names[random.integers(len(names))]


def _other_weights(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    for tensor in graph.initializer[:4]:
        array = np.zeros(tensor.dims)
        tensor.CopyFrom(numpy_helper.from_array(random.standard_normal(array.shape).astype(np.float32), tensor.name))


def _other_raw_bytes(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    tensor = graph.initializer[random.integers(len(graph.initializer))]
    tensor.raw_data = tensor.raw_data[: random.integers(len(tensor.raw_data) + 1)]


def _other_shape(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    dims = graph.input[0].type.tensor_type.shape.dim
    dims[random.integers(len(dims))].dim_value = int(random.choice([0, -3, 1, 5, 2**33]))


def _other_type(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    graph.input[0].type.tensor_type.elem_type = int(random.integers(0, 24))


MUTATIONS = (
    _other_input, _other_operator, _no_node, _swapped_nodes, _other_attribute, _other_constant, _other_raw_bytes, _other_shape,
    _other_type, _other_function, _other_weights, _other_function,
)  # fmt: skip


def test_mutated_models_give_a_fault_or_the_right_answer() -> None:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    random, answers, faults = np.random.default_rng(11), 0, 0
    for _ in range(MUTANTS):
        proto, weights = mutated(random), WeightStore()
        try:
            imported = import_model(proto, "mutant.onnx", weights, N)
        except ToolchainError:
            faults += 1
            continue
        if any(c.port.kind != "float32" for c in imported.inputs):
            continue
        feed = {c.port.name: random.standard_normal(c.port.shape or ()).astype(np.float32) for c in imported.inputs}
        try:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            wanted = onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, feed)
        except Exception:  # what onnxruntime refuses we may refuse or not
            continue
        found = evaluate(imported.module, {c.symbol: feed[c.port.name] for c in imported.inputs}, weights, LPU).outputs
        for connection, want in zip(imported.outputs, wanted, strict=True):
            assert np.allclose(found[connection.symbol], want, atol=1e-3, rtol=1e-3, equal_nan=True), proto
        answers += 1
    assert answers > 10
    assert faults > 50


def test_flipped_bytes_give_a_fault_or_a_model(tmp_path: Path) -> None:
    data = bytearray(models.perceptron().SerializeToString())
    random, models_read = np.random.default_rng(12), 0
    path = tmp_path / "flipped.onnx"
    for _ in range(MUTANTS):
        changed = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 6)):
            changed[place] = random.integers(256)
        path.write_bytes(bytes(changed))
        with suppress(ToolchainError):
            declare_source(path, LPU, Reading("f16", N))
            models_read += 1
    assert 0 < models_read < MUTANTS
