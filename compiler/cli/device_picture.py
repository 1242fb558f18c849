"""The picture of a device: slices × banks, coloured by wear, reads and errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from isa.rram_state import RramState
from sim.health import BankHealth

_PANELS = (
    ("mean_wear", "write cycles a row (mean)", "YlOrBr"),
    ("most_reads", "reads since the last write (most)", "Blues"),
    ("wrong_cells", "wrong cells now", "Reds"),
)


def bank_maps(state: RramState, banks: Sequence[BankHealth], file: BinaryIO) -> None:
    """Write the picture as PNG: a panel for each of wear, reads and wrong cells, a row a slice from west to east."""
    units = [unit.name for unit in state.chip.units.values() if unit.kind == "rram"]
    figure: Any = Figure(figsize=(11, 1.6 + 0.24 * len(units)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title, colours) in zip(figure.subplots(1, len(_PANELS), sharey=True), _PANELS, strict=True):
        table = np.zeros((len(units), state.rram.banks))
        for bank in banks:
            table[units.index(bank.unit), bank.bank] = getattr(bank, name)
        image = axes.imshow(table, cmap=mpl.colormaps[colours], vmin=0, vmax=max(float(table.max()), 1.0), aspect="auto")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("bank")
        axes.set_xticks(range(state.rram.banks))
        axes.set_yticks(range(len(units)), units, fontsize=8)
        figure.colorbar(image, ax=axes, location="bottom", shrink=0.9)
    figure.savefig(file, format="png", dpi=110)
