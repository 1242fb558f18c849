"""`lockstep chip`: the chips that come with Lockstep, and what a chip description says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from isa.chip import Chip

MIB = 1 << 20


@click.group()
def chip() -> None:
    """List chips, or show one: sizes, row of units, latencies, and where each number comes from.

    \b
    lockstep chip list
    lockstep chip show lpu-rram
    lockstep chip show lpu-rram --toml > my-chip.toml     a copy to change
    """


@chip.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_chips(as_json: bool) -> None:
    """The chips that come with Lockstep."""
    from isa.chip import load_chip, preset_names

    rows = [_sizes(load_chip(name)) for name in preset_names()]
    if as_json:
        click.echo(json.dumps({"chips": rows}, indent=2))
        return
    titles = ("chip", "GHz", "lanes", "streams", "planes", "SRAM MiB", "RRAM MiB", "peak i8 Tops")
    layout = "{:10} {:>5} {:>6} {:>8} {:>7} {:>9} {:>9} {:>13}"
    click.echo(layout.format(*titles))
    for row in rows:
        streams = f"{row['streams']} + {row['streams']}"
        mebibytes = [f"{row[key] / MIB:.4g}" for key in ("sram_bytes", "rram_bytes")]
        counts = (f"{row['clock_ghz']:g}", row["lanes"], streams, row["mxm_planes"])
        click.echo(layout.format(row["name"], *counts, *mebibytes, f"{row['peak_i8_tops']:.4g}"))


@chip.command("show")
@click.argument("name", metavar="CHIP")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--toml", "as_toml", is_flag=True, help="Print the description itself, to copy and change.")
def show(name: str, as_json: bool, as_toml: bool) -> None:
    """What a chip description says. CHIP is a name from `lockstep chip list` or a .toml file, which is checked."""
    from isa.chip import load_chip

    if as_json and as_toml:
        raise click.UsageError("--json and --toml exclude each other")
    chosen = load_chip(name)
    if as_toml:
        click.echo(_toml(name), nl=False)
    elif as_json:
        click.echo(json.dumps(_sizes(chosen) | {"digest": chosen.digest, "chip": chosen.model_dump(mode="json")}, indent=2))
    else:
        _print_chip(chosen)


def _sizes(chip: Chip) -> dict[str, Any]:
    """The sizes that people compare chips by. An operation is a multiplication or an addition."""
    rram = chip.slices("rram")
    return {
        "name": chip.name,
        "description": chip.description,
        "clock_ghz": chip.clock_ghz,
        "lanes": chip.lanes,
        "streams": chip.streams,
        "mxm_planes": len(chip.planes),
        "vxm_alus": chip.vxm.alus,
        "sram_bytes": len(chip.slices("sram")) * chip.sram.words * chip.lanes,
        "rram_bytes": sum(chip.words(unit.name) for unit in rram) * chip.lanes,
        "peak_i8_tops": 2e-3 * len(chip.planes) * chip.lanes**2 * chip.clock_ghz,
    }


def _toml(name: str) -> str:
    from importlib import resources
    from pathlib import Path

    from isa.chip import preset_names

    if name in preset_names():
        return (resources.files("isa") / "chips" / f"{name}.toml").read_text(encoding="utf-8")
    return Path(name).read_text(encoding="utf-8")


def _print_chip(chip: Chip) -> None:
    sizes = _sizes(chip)
    click.echo(f"{chip.name}: {chip.description}")
    click.echo(f"  {'  '.join(chip.row)}   (west to east, {chip.width} positions)")
    for key in ("clock_ghz", "lanes", "streams", "mxm_planes", "vxm_alus", "sram_bytes", "rram_bytes", "peak_i8_tops"):
        click.echo(f"  {key:14} {sizes[key]:,}")
    click.echo(f"  {'digest':14} {chip.digest[:16]}")
    click.echo("latencies in cycles (skew, where operands are read later than at dispatch)")
    for key, timing in chip.timing.items():
        skew = f" (skew {timing.skew})" if timing.skew else ""
        click.echo(f"  {key:14} {timing.latency:3}{skew}  {chip.source_of(f'timing.{key}.latency')}")
    click.echo("energy: low, typical and high")
    for key, cost in chip.energy:
        low, typical, high = (f"{value:g}" for value in cost.values)
        click.echo(f"  {key:18} {low:>6} {typical:>6} {high:>6}  {chip.source_of(f'energy.{key}') or 'not given'}")
    click.echo("slots")
    for unit in chip.units.values():
        names = " ".join(slot.name for slot in chip.slots.values() if slot.unit is unit)
        click.echo(f"  {unit.position:3} {unit.name:8} {names}")
