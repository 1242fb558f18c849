"""Accuracy against the raw error rate of the cells, with the code and without it: the curve of `lockstep inject --plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.cli.output_files import write_file
from compiler.cli.progress import tracked
from isa.errors import DataFault, Location, ToolchainError, Trap
from sim.campaign import Campaign, Masks
from sim.cell_faults import ProgramCells

RATES = tuple(float(rate) for rate in np.logspace(-6, -2, 9))
DEVICES = 5
"""Chips a rate: each with wrong cells of its own, which stay for all calls."""


def read_labels(path: Path, calls: int) -> NDArray[np.int64]:
    """The class of every call. Raises DataFault."""
    from compiler.cli.tensors import read_npy

    labels = read_npy(path)
    if labels.shape != (calls,) or not np.issubdtype(labels.dtype, np.integer):
        found = f"{labels.dtype} {list(labels.shape)}"
        raise DataFault(f"the labels are {found}, expected whole numbers [{calls}]", Location(str(path)))
    return np.array(labels.tolist(), np.int64)


def accuracy_against_rate(campaign: Campaign, labels: NDArray[Any] | None, plot: Path) -> list[dict[str, Any]]:
    """Measure, draw, and give the points. A call that traps counts as wrong."""
    pyplot = _pyplot()
    cells = campaign.cells or ProgramCells(campaign.program)
    points: list[dict[str, Any]] = []
    for number, rate in enumerate(tracked(RATES, len(RATES), "measuring")):
        with_code: list[float] = []
        without: list[float] = []
        for device in range(DEVICES):
            rng = np.random.default_rng([campaign.seed, 1 << 20, number, device])
            wrong = np.sort(cells.at_rate(rate, 1, rng))
            found = cells.decode(wrong, 1)
            with_code.append(0.0 if found.refused[0] else _accuracy(campaign, found.masks.get(0, []), labels))
            without.append(_accuracy(campaign, cells.raw_masks(wrong), labels))
        points.append({"rate": rate, "with_code": with_code, "without_code": without})
    write_file(plot, _drawn(pyplot, points, _accuracy(campaign, [], labels), labels is not None))
    return points


def _accuracy(campaign: Campaign, masks: Masks, labels: NDArray[Any] | None) -> float:
    """Share of the calls that come out right on a chip whose rows differ by these masks."""
    good = 0
    for call, inputs in enumerate(campaign.calls):
        if not masks and labels is None:
            good += 1
            continue
        try:
            outputs = campaign.outputs(inputs, masks=masks)
        except Trap:
            continue
        if labels is None:
            good += {name: array.tobytes() for name, array in outputs.items()} == campaign.golden[call]
        else:
            good += int(np.argmax(next(iter(outputs.values())))) == int(labels[call])
    return good / len(campaign.calls)


def _pyplot() -> Any:
    """matplotlib without a screen. Raises ToolchainError."""
    try:
        import matplotlib
    except ImportError:
        raise ToolchainError("--plot needs matplotlib", hint="pip install 'lockstep-lpu[plot]'") from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def _drawn(pyplot: Any, points: list[dict[str, Any]], best: float, labelled: bool) -> bytes:
    """The chart as PNG: a line through the means, a band from the worst device to the best."""
    from io import BytesIO

    figure, axis = pyplot.subplots(figsize=(6.4, 4.0))
    rates = [point["rate"] for point in points]
    for key, name, colour in (("without_code", "no code", "C3"), ("with_code", "BCH, two bits a word corrected", "C0")):
        values = 100 * np.array([point[key] for point in points])
        axis.plot(rates, values.mean(axis=1), "o-", color=colour, label=name, markersize=4)
        axis.fill_between(rates, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.15, linewidth=0)
    axis.axhline(100 * best, color="0.5", linewidth=0.8, linestyle="--", label="no faults")
    axis.set(xscale="log", xlabel="raw error rate of a cell", ylim=(-2, 102))
    axis.set_ylabel("calls with the right class, %" if labelled else "calls with the fault-free outputs, %")
    axis.set_title(f"mean, worst and best of {DEVICES} devices a rate; a call that traps counts as wrong", fontsize="small")
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left", fontsize="small")
    figure.tight_layout()
    content = BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    pyplot.close(figure)
    return content.getvalue()
