"""`lockstep inject`: its table, its JSON, its chart, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

Run = Callable[..., Result]
KEYS = ["faults", "runs", "seed", "outcomes", "interval", "runs_made", "words", "seconds"]


@pytest.fixture
def weights(run: Run, folder: Path) -> Path:
    """A program with weights in RRAM, on tiny."""
    np.savez(folder / "w.npz", w=np.random.default_rng(0).integers(-128, 128, (16, 8), np.int8))
    (folder / "w.lks").write_text('param w: i8[16, 8] from "w.npz"\ninput x: i8[1, 16]\noutput y = x @ w\n')
    assert run("compile", "w.lks", "--chip", "tiny").exit_code == 0
    return folder / "w.lbin"


def test_the_table_says_what_became_of_the_runs(run: Run, weights: Path) -> None:
    lines = run("inject", weights.name, "--faults", "cells:words=all:bits=0-2", "--runs", "300").stdout.splitlines()
    assert lines[0].startswith("300 runs with cells:words=all:bits=0-2 (seed 0)")
    rows = {line.split()[0]: line.split()[1] for line in lines[2:7]}
    assert rows == {"corrected": "300", "trapped": "0", "masked": "0", "silent": "0", "clean": "0"}


def test_json_is_the_same_whatever_the_jobs(run: Run, weights: Path) -> None:
    arguments = ("inject", weights.name, "--faults", "cells:bits=3,streams:bits=1", "--runs", "600", "--seed", "7", "--json")
    one, two = (json.loads(run(*arguments, "--jobs", jobs).stdout) for jobs in ("1", "2"))
    assert list(one) == KEYS
    assert one["outcomes"] == two["outcomes"]
    assert one["words"] == two["words"]
    cells = next(row for row in one["words"] if row["code"] == "RRAM (80, 64)")
    assert cells["read"] == 600
    assert cells["mistaken"] > 0
    assert cells["theory"] == pytest.approx(0.0476, abs=1e-4)


@pytest.mark.parametrize("labelled", [False, True])
def test_the_chart_is_drawn(run: Run, weights: Path, folder: Path, labelled: bool) -> None:
    pytest.importorskip("matplotlib")
    inputs = np.random.default_rng(2).integers(-128, 128, (3, 1, 16), np.int8)
    np.save(folder / "x.npy", inputs)
    with np.load(folder / "w.npz") as data:
        classes = (inputs.astype(int) @ data["w"].astype(int)).argmax(axis=2)[:, 0]
    np.save(folder / "classes.npy", classes)
    options = ("--labels", "classes.npy") if labelled else ()
    result = run(
        *("inject", weights.name, "--faults", "cells:bits=1", "--runs", "10", "--input", "x=x.npy", "--calls", "3"),
        *("--plot", "chart.png", "--json"), *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    points = json.loads(result.stdout)["accuracy"]
    assert points[0]["with_code"] == [1.0] * 5
    assert points[-1]["rate"] == pytest.approx(0.1)
    assert sum(points[-1]["without_code_exact"]) < 5  # at one wrong bit in ten
    assert labelled or all(point["without_code"] == point["without_code_exact"] for point in points)
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--faults", "cell:bits=1"), 1, "there is no kind of fault 'cell'"),
        (("--faults", "cells", "--labels", "x.npy"), 2, "--labels is about the plot"),
        ((), 2, "Missing option '--faults'"),
        (("--faults", "cells", "--input", "x=absent.npy"), 1, "cannot read the input file"),
        (("--faults", "cells", "--plot", "nowhere/chart.png"), 1, "nowhere"),
    ],
)
def test_what_is_refused(run: Run, weights: Path, options: tuple[str, ...], status: int, message: str) -> None:
    result = run("inject", weights.name, *options)
    assert result.exit_code == status
    assert message in result.output
    assert "Traceback" not in result.output


def test_labels_must_fit_the_calls(run: Run, weights: Path, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    np.save(folder / "labels.npy", np.zeros(4, np.int8))
    result = run("inject", weights.name, "--faults", "cells", "--plot", "c.png", "--labels", "labels.npy", "--calls", "3")
    assert result.exit_code == 1
    assert "the labels are int8 [4], expected whole numbers [3]" in result.output
    assert not (folder / "c.png").exists()
