"""What commands say of a run: one JSON object with stable keys, or lines for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from compiler.cli.output_files import write_file
from isa.energy import POINTS


def print_json(values: Mapping[str, Any]) -> None:
    click.echo(json.dumps(values, indent=2))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_file(path, (json.dumps(values, indent=2) + "\n").encode())


def describe_cycles(values: Mapping[str, Any]) -> str:
    """Cycles, time and bound in one line."""
    cycles = values["cycles"] if values["cycles"] is not None else values["predicted_cycles"]
    text = f"{cycles:,} cycles = {values['latency_us']:,.3f} us at {values['clock_ghz']:g} GHz"
    if values["bound_cycles"]:
        text += (
            f"; at least {values['bound_cycles']:,} ({values['bound_by']}): {values['bound_cycles'] / cycles:.1%} of the best"
        )
    return text


def describe_use(values: Mapping[str, Any]) -> str:
    """Utilisation in one line."""
    return f"MXM {values['mxm_utilisation']:.1%}, RRAM bandwidth {values['rram_bandwidth_utilisation']:.1%} of peak"


MOST_LAYERS = 6
"""Places of the source that the energy table names."""


def describe_energy(values: Mapping[str, Any]) -> str:
    """A table: microjoules of one call by kind of unit, and by the places of the source that take most."""
    energy = values["energy"]
    layers = sorted(energy["by_layer"].items(), key=lambda item: -item[1]["typical"])
    rest = layers[MOST_LAYERS:]
    shown = [(name or "(no place)", cost) for name, cost in layers[:MOST_LAYERS]]
    if rest:
        others = {point: sum(cost[point] for _, cost in rest) for point in POINTS}
        shown.append((f"{len(rest)} other places", others))
    kinds = list(energy["by_unit_kind"].items())
    width = max(len(name) for name, _ in [*kinds, *shown, ("energy of a call, uJ", None)])
    total = energy["total"]
    lines = ["  ".join([f"{'energy of a call, uJ':{width}}", f"{'typical':>10}", "share", f"{'low':>10}", f"{'high':>10}"])]
    for name, cost in [("all", total), *kinds, *shown]:
        share = cost["typical"] / total["typical"] if total["typical"] else 0.0
        figures = (f"{cost['typical']:10,.3f}", f"{share:5.1%}", f"{cost['low']:10,.3f}", f"{cost['high']:10,.3f}")
        lines.append("  ".join([f"{name:{width}}", *figures]))
    return "\n".join(lines)
