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

RATES = tuple(float(rate) for rate in np.logspace(-6, -1, 11))
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
    """Measure, draw, and give the points: shares of the calls, a device each. A call that traps is neither right nor exact."""
    pyplot = _pyplot()
    cells = campaign.cells or ProgramCells(campaign.program)
    points: list[dict[str, Any]] = []
    for number, rate in enumerate(tracked(RATES, len(RATES), "measuring")):
        shares: list[tuple[float, float, float, float]] = []
        for device in range(DEVICES):
            rng = np.random.default_rng([campaign.seed, 1 << 20, number, device])
            wrong = np.sort(cells.at_rate(rate, 1, rng))
            found = cells.decode(wrong, 1)
            with_code = (0.0, 0.0) if found.refused[0] else _shares(campaign, found.masks.get(0, []), labels)
            shares.append((*with_code, *_shares(campaign, cells.raw_masks(wrong), labels)))
        keys = ("with_code", "with_code_exact", "without_code", "without_code_exact")
        columns = zip(*shares, strict=True)
        points.append({"rate": rate} | {key: list(column) for key, column in zip(keys, columns, strict=True)})
    write_file(plot, _drawn(pyplot, points, _shares(campaign, [], labels)[0], labels is not None))
    return points


def _shares(campaign: Campaign, masks: Masks, labels: NDArray[Any] | None) -> tuple[float, float]:
    """Shares of the calls with the right class (without labels: exact outputs) and with exact outputs, on a chip whose rows
    differ by these masks."""
    right = exact = 0
    for call, inputs in enumerate(campaign.calls):
        try:
            outputs = campaign.outputs(inputs, masks=masks)
        except Trap:
            continue
        same = {name: array.tobytes() for name, array in outputs.items()} == campaign.golden[call]
        exact += same
        right += same if labels is None else int(np.argmax(next(iter(outputs.values())))) == int(labels[call])
    return right / len(campaign.calls), exact / len(campaign.calls)


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

    figure, axis = pyplot.subplots(figsize=(8.4, 4.0))
    rates = [point["rate"] for point in points]
    what = "right class" if labelled else "exact outputs"
    lines = [("without_code", f"no code: {what}", "C3", "o-"), ("with_code", f"with the code: {what}", "C0", "o-")]
    if labelled:
        lines += [("without_code_exact", "no code: exact outputs", "C3", "x:")]
        lines += [("with_code_exact", "with the code: exact outputs", "C0", "x:")]
    for key, name, colour, style in lines:
        values = 100 * np.array([point[key] for point in points])
        axis.plot(rates, values.mean(axis=1), style, color=colour, label=name, markersize=4)
        axis.fill_between(rates, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.12, linewidth=0)
    axis.axhline(100 * best, color="0.5", linewidth=0.8, linestyle="--", label="no faults")
    axis.set(xscale="log", xlabel="raw error rate of a cell", ylim=(-2, 102))
    axis.set_ylabel("calls, %")
    axis.set_title(f"mean, worst and best of {DEVICES} devices a rate; a call that traps has no result", fontsize="small")
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize="small", frameon=False)
    figure.tight_layout()
    content = BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    pyplot.close(figure)
    return content.getvalue()
