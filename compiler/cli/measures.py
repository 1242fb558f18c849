"""What commands say of a run: one JSON object with stable keys, or lines for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from compiler.cli.output_files import write_file


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
    """Utilisation and energy in one line."""
    return (
        f"MXM {values['mxm_utilisation']:.1%}, RRAM bandwidth {values['rram_bandwidth_utilisation']:.1%} of peak; "
        f"{values['energy_uj']:,.3f} uJ"
    )
