"""The benchmark scripts run on small sizes, give sound figures and keep the keys of their JSON. No time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module, resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from isa.chip import load_chip

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"

GEMM_KEYS = {
    "chip", "type", "rows", "inner", "columns", "cycles", "share", "must_share", "aim_share", "reached", "bound_cycles",
    "bound_by", "tile_bound_cycles", "tile_bound_share", "peak_macs_per_cycle", "compile_seconds", "compile_reached",
}  # fmt: skip
SIMULATED_KEYS = {
    "chip", "type", "rows", "inner", "columns", "repeat", "compile_seconds", "simulate_seconds", "peak_mib", "cycles",
    "cycles_as_predicted", "numerics_exact", "all_seconds",
}  # fmt: skip
STREAMING_KEYS = {
    "chip", "layers", "width", "weight_bytes", "weight_megabytes", "cycles", "share", "must_share", "aim_share", "reached",
    "counted_share", "peak_bytes_per_cycle", "bound_cycles", "bound_by", "rram_bound_cycles", "compile_seconds",
    "simulate_seconds", "repeat", "bits_equal",
}  # fmt: skip
RRAM_KEYS = {
    "program", "chip", "banks", "busy_cycles", "scheme", "weight_megabytes", "cycles", "stream_share", "must_share", "reached",
    "share", "bound_cycles", "bound_by", "speedup", "speedup_limit",
}  # fmt: skip
MACHINES_KEYS = {
    "program", "chip", "operations", "cycles", "reference_seconds", "first_run_seconds", "next_run_seconds",
    "first_run_ratio", "next_run_ratio", "must_ratio", "aim_ratio", "first_run_reached", "next_run_reached", "equal", "runs",
}  # fmt: skip
NETWORK_KEYS = {
    "network", "chip", "precision", "size", "cycles", "published_cycles", "bound_cycles", "bound_by", "of_bound",
    "of_ideal_memory", "must", "aim", "measure", "reached", "cosine", "must_cosine", "cosine_reached", "same_top",
    "mxm_utilisation", "energy_uj", "compile_seconds", "simulate_seconds",
}  # fmt: skip


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_json(script: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(script, "--json", "--repeat", "1", *arguments))
    assert found["benchmark"] == script.removesuffix(".py")
    return found


@pytest.mark.parametrize("type_name", ["i8", "f16"])
def test_gemm_on_a_small_product(type_name: str) -> None:
    size = ("--chip", "tiny", "--type", type_name, "--rows", "32", "--inner", "16", "--columns", "16")
    found = run_json("gemm.py", *size, "--simulate")
    (row,), simulated = found["rows"], found["simulated"]
    assert set(row) == GEMM_KEYS
    assert set(simulated) == SIMULATED_KEYS
    macs_per_cycle = (2 if type_name == "i8" else 1) * 8 * 8  # two planes, one pair
    assert row["peak_macs_per_cycle"] == macs_per_cycle
    assert row["tile_bound_cycles"] == 32 * 16 * 16 // macs_per_cycle  # all sizes are whole tiles of 8
    assert row["share"] == pytest.approx(row["tile_bound_cycles"] / row["cycles"])
    assert row["tile_bound_cycles"] <= row["bound_cycles"] <= row["cycles"] == simulated["cycles"]
    assert simulated["cycles_as_predicted"] is True
    assert simulated["numerics_exact"] is True


def test_weight_streaming_on_small_layers() -> None:
    (row,) = run_json("weight_streaming.py", "--chip", "tiny", "--layers", "2", "--width", "16")["rows"]
    assert set(row) == STREAMING_KEYS
    assert row["weight_bytes"] == 2 * 16 * 16
    assert row["rram_bound_cycles"] <= row["bound_cycles"] <= row["cycles"]
    assert 0 < row["share"] <= row["counted_share"] <= 1
    assert row["bits_equal"] is True


def test_weight_streaming_needs_rram() -> None:
    command = [sys.executable, str(SCRIPTS / "weight_streaming.py"), "--chip", "tsp", "--width", "320"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "chip tsp has no RRAM" in done.stderr
    assert "Traceback" not in done.stderr


def test_machines_on_a_small_product() -> None:
    (row,) = run_json("machines.py", "--chip", "tiny", "--size", "16", "16", "16", "--no-samples")["rows"]
    assert set(row) == MACHINES_KEYS
    assert row["equal"] is True
    assert row["first_run_ratio"] == pytest.approx(row["reference_seconds"] / row["first_run_seconds"])


def test_networks_on_a_small_image() -> None:
    """The whole of ResNet-50, verified; a small image is no row of the published table."""
    (row,) = run_json("networks.py", "resnet-50", "--chip", "tsp", "--size", "32")["rows"]
    assert set(row) == NETWORK_KEYS
    assert row["bound_cycles"] <= row["cycles"]
    assert (row["must"], row["published_cycles"], row["reached"]) == (None, None, "")
    assert row["cosine"] > 0.9, "rounding to i8 is all that parts it from f32"


def test_one_layer_of_bert(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX model, calibrated, with the bits of the reference; what rounds it to i8 parts it little from f32."""
    pytest.importorskip("onnx")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    networks, encoders = import_module("networks"), import_module("network_encoders")
    monkeypatch.setitem(networks.BUILDERS, "bert-base", encoders.bert_case(layers=1))
    entry = next(e for e in networks.ENTRIES if (e.network, e.chip) == ("bert-base", "tsp"))
    row = networks.measure(replace(entry, size=16, limit=None), load_chip("tsp"))
    assert row["bound_cycles"] <= row["cycles"]
    assert row["cosine"] is None or row["cosine"] > 0.99


def test_tables_are_printed() -> None:
    size = ("--chip", "tiny", "--rows", "16", "--inner", "8", "--columns", "8", "16")
    lines = run("gemm.py", *size).splitlines()
    headings = next(line for line in lines if line.startswith("chip"))
    assert [word for word in ("cycles", "share", "bound", "tile bound", "compile s") if word not in headings] == []
    assert sum(line.startswith("tiny") for line in lines) == 2


def test_rram_on_small_programs(tmp_path: Path) -> None:
    tiny = (resources.files("isa") / "chips" / "tiny.toml").read_text()
    (tmp_path / "roomy.toml").write_text(
        tiny.replace("bank_words = 16", "bank_words = 1024").replace("words = 64", "words = 512")
    )
    chips = ("--chip", str(tmp_path / "roomy.toml"), "--banks", "2", "--busy", "3")
    rows = run_json("rram.py", *chips, "--programs", "chain", "mlp", "--verify")["rows"]
    assert len(rows) == 2 * 3
    for row in rows:
        assert set(row) == RRAM_KEYS
        assert 0 < row["share"] <= row["stream_share"] <= 1
        assert row["bound_cycles"] <= row["cycles"]
        assert row["must_share"] is None  # far below the megabytes that are judged
    by_scheme = [{row["scheme"]: row["cycles"] for row in rows[i : i + 3]} for i in range(0, len(rows), 3)]
    assert all(cycles["scheduled"] <= cycles["interleaved"] < cycles["naive"] for cycles in by_scheme)


def test_scaling() -> None:
    """Faster links never slow a token; more chips do not hold less; every model has both splits."""
    found = run_json("scaling.py")
    rows = found["rows"]
    assert found["checked"] == []
    for model in {row["model"] for row in rows}:
        mine = [row for row in rows if row["model"] == model]
        assert {row["split"].split()[0] for row in mine} == {"tensor", "pipeline"}
        for split in {row["split"] for row in mine}:
            times = [row["token_us"] for row in sorted(mine, key=lambda r: r["link"]) if row["split"] == split]
            assert times == sorted(times, reverse=True)
            assert len(times) == 3
    assert all(row["energy_low_mj"] < row["energy_mj"] < row["energy_high_mj"] for row in rows)


def test_llm(tiny_llama: ModuleType, tmp_path: Path) -> None:
    model = tiny_llama.write_gguf(tmp_path / "tiny.gguf", tiny_llama.tensors())
    found = run_json("llm.py", str(model), "--context", "128", "--verify", "--accuracy", "--precision", "f16", "--layers", "1")
    (row,) = found["rows"]
    assert row["layers"] == 1
    assert row["must"] is None
    assert row["rram_cycles"] < row["bound_cycles"] <= row["cycles"]
    assert all(prompt["same_cycles"] for prompt in found["accuracy"])
    assert found["verified"]["calls"] == 3
