"""`lockstep-opt`: what it cannot do ends as one message and exit status 1, and it runs passes that need a chip or weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from compiler.cli.opt import main
from compiler.pipeline import DEFAULT_PIPELINE, stage_text
from compiler.session import declare
from compiler.weights import WeightStore
from isa.chip import load_chip

PROGRAM = """
func.func @main() {
  %x = graph.input "x" : tensor<4x8xf32>
  %w = graph.param "w" digest "DIGEST" : tensor<8x4xf32>
  %y = graph.matmul %x, %w : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
  graph.output "y" %y : tensor<4x4xf32>
  func.return
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.mlir"
    path.write_text(PROGRAM)
    return path


def fault(*args: object) -> str:
    """The message of a run that fails; `sys.exit(text)` prints it to stderr and exits 1."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in args])
    assert isinstance(stop.value.code, str)
    return stop.value.code


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ("no-such-pass", "--passes:1:1: error: there is no pass 'no-such-pass'"),
        ("cse,decompse", "did you mean decompose?"),
        ("decompose{depth=3}", "depth"),
        ("fold-constants{max-bytes=many}", "--passes: error: pass fold-constants: "),
        ("decompose{", "Expected argument name here"),
        ("set-precision{matmul=i4}", "matmul='i4' is none of f32, f16, i8f16"),
        ("set-precision{matmul=i8f16}", "no weights with digest DIGEST"),
    ],
)
def test_bad_pipelines(program: Path, passes: str, message: str) -> None:
    text = fault(program, "-p", passes)
    assert "error: " in text.splitlines()[0]
    assert message in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("graph.matmul", "graph.matmull", "graph.matmull"),
        ("8x4xf32>\n  %y", "8x4xf33>\n  %y", "program.mlir:4:"),
        ("tensor<8x4xf32>", "tensor<9x4xf32>", "inner sizes differ: 8 and 9"),
        ("tensor<4x8xf32>", "tensor<4x-8xf32>", "program.mlir"),
        ('"x"', '"x', "program.mlir:3:20: error: this string does not end"),
        ('"x"', '"x' + "y" * 60, "program.mlir:3:20: error: this string does not end"),
        ('"x"', '"x' + "y" * 60 + '\\q"', "wrong escape"),
        ("}\n", "", "program.mlir"),
        ("@main", "@other", "the module has no function @main"),
        ("%w = graph", "\0", "program.mlir"),
    ],
)
def test_bad_text(program: Path, old: str, new: str, message: str) -> None:
    program.write_text(PROGRAM.replace(old, new))
    text = fault(program, "-p", "decompose")
    assert "error" in text
    assert message in text
    assert "Traceback" not in text


def test_bad_files(program: Path, tmp_path: Path) -> None:
    assert "No such file" in fault(tmp_path / "missing.mlir")
    assert "no chip 'moon'" in fault(program, "--chip", "moon")
    assert "program.mlir' is no parameter file" in fault(program, "--weights", program)
    assert "there is no file" in fault(program, "--weights", tmp_path / "missing.safetensors")
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    assert "--weights: cannot read" in fault(program, "--weights", tmp_path / "damaged.npz")
    program.write_bytes(b"\xff\xfe\x00graph")
    assert "this is not IR text" in fault(program)
    assert "nothing.txt" in fault(tmp_path / "nothing.txt")
    (tmp_path / "program.txt").write_text(PROGRAM)
    assert "extension 'txt'" in fault(tmp_path / "program.txt")


def test_a_fault_of_a_verifier_names_the_operation(program: Path) -> None:
    program.write_text(PROGRAM.replace("tensor<8x4xf32>", "tensor<9x4xf32>"))
    assert 'note: %y = "graph.matmul"(%x, %w)' in fault(program)


def test_weights_and_chip_are_used(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    w = np.arange(32, dtype=np.float32).reshape(8, 4)
    save_file({"any": w}, tmp_path / "w.safetensors")
    program.write_text(PROGRAM.replace("DIGEST", WeightStore().add(w)))
    passes = "set-precision{matmul=i8f16},canonicalize-graph"
    main([str(program), "--weights", str(tmp_path / "w.safetensors"), "--chip", "tiny", "-p", passes])
    text = capsys.readouterr().out
    assert 'graph.param "w.i8" digest' in text
    assert "(tensor<4x8xf16>, tensor<8x4xi8>) -> tensor<4x4xf32>" in text
    assert 'graph.param "w" digest' not in text


def test_weights_may_be_in_several_files_of_any_kind(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Arrays are found by digest, in either byte order; what no digest can stand for is passed over."""
    w = np.arange(32, dtype=np.float32).reshape(8, 4)
    save_file({"other": w + 1}, tmp_path / "a.safetensors")
    np.save(tmp_path / "b.npy", w.astype(">f4"))
    np.savez(tmp_path / "c.npz", labels=np.arange(3))
    program.write_text(PROGRAM.replace("DIGEST", WeightStore().add(w)))
    files = [argument for name in ("a.safetensors", "b.npy", "c.npz") for argument in ("--weights", str(tmp_path / name))]
    passes = "set-precision{matmul=i8f16}"
    main([str(program), *files, "-p", passes])
    assert '"w.i8" digest' in capsys.readouterr().out
    without = files[:2] + files[4:]
    assert "no weights with digest" in fault(program, *without, "-p", passes)


@pytest.mark.parametrize(("name", "origin"), [("an odd name.lks", "an odd name.lks:3:22: matmul"), ("é.lks", '"matmul"')])
def test_the_text_of_a_graph_is_compiled_as_its_source_is(tmp_path: Path, name: str, origin: str) -> None:
    """Arrays from the parameter file, and places in the source from the text, where xDSL can read the file's name again."""
    source = tmp_path / name
    source.write_text('param w: f32[8, 4] from "w.npz"\ninput x: f32[2, 8]\noutput y = softmax(x @ w)\n')
    np.savez(tmp_path / "w.npz", w=np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4))
    chip = load_chip("lpu-rram")
    graph, flow = tmp_path / "graph.mlir", tmp_path / "flow.mlir"
    graph.write_text(stage_text("graph", *declare(source, chip), chip))
    arguments = [str(graph), "--chip", chip.name, "--weights", str(tmp_path / "w.npz"), "-p", DEFAULT_PIPELINE]
    main([*arguments, "-o", str(flow)])
    text = flow.read_text()
    assert origin in text
    same = text.strip() == stage_text("scheduled", *declare(source, chip), chip).strip()
    assert same == ("odd" in name)


def test_output_is_written_whole_or_not_at_all(program: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mlir"
    output.write_text("before")
    fault(program, "-o", output, "-p", "set-precision{matmul=i4}")
    assert output.read_text() == "before"
    main([str(program), "-o", str(output), "-p", "set-precision{matmul=f16}"])
    assert "precision f16" in output.read_text()
    assert "cannot write the file" in fault(program, "-o", tmp_path / "no" / "out.mlir")
