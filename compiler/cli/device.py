"""`lockstep device`: the RRAM of one chip through its life: made, looked at, aged, broken on purpose, scrubbed."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from isa.rram_device import Corner

DEVICE = click.argument("path", metavar="DEVICE", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def device() -> None:
    """The RRAM of one chip, kept in a file: cells, wear, age, reads, faults.

    \b
    lockstep device new chip7.dev --seed 7
    lockstep program model.lbin --device chip7.dev
    lockstep run model.lbin --device chip7.dev --input x=x.npy
    lockstep device age chip7.dev --years 3 --celsius 85
    lockstep device show chip7.dev --plot chip7.png
    lockstep device scrub chip7.dev --program model.lbin --requests 1000
    """


@device.command()
@DEVICE
@click.option("--chip", default="lpu-rram", show_default=True, help="A name from `lockstep chip list` or a .toml file.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which cells are weak.")
@click.option(
    "--corner",
    type=click.Choice(["typical", "optimistic", "pessimistic"]),
    default="typical",
    show_default=True,
    help="End of the chip file's ranges.",
)
def new(path: Path, chip: str, seed: int, corner: Corner) -> None:
    """Make a device as it leaves the factory: nothing programmed, some cells stuck.

    \b
    lockstep device new chip7.dev --seed 7
    lockstep device new bad.dev --corner pessimistic
    """
    from compiler.cli.output_files import require_file
    from isa.chip import load_chip
    from isa.device_file import create_device
    from isa.rram_state import RramState

    if not -(1 << 63) <= seed < 1 << 63:
        raise click.UsageError("--seed: at most 63 bits")
    state = RramState(load_chip(chip), seed, corner)
    if not path.exists():
        require_file(path)
    create_device(path, state)
    rows = len(state.chip.slices("rram")) * state.rram.words
    click.echo(f"{path}: a {state.chip.name} with {rows:,} rows of RRAM, seed {seed}, {corner} cells")


@device.command()
@DEVICE
@click.option("--by", type=click.Choice(["slice", "bank"]), default="slice", show_default=True, help="A line of the table.")
@click.option("--plot", metavar="FILE.png", type=click.Path(path_type=Path), help="Draw wear, reads and errors of every bank.")
@JSON
def show(path: Path, by: str, plot: Path | None, as_json: bool) -> None:
    """What a device holds and has been through.

    \b
    lockstep device show chip7.dev
    lockstep device show chip7.dev --by bank
    lockstep device show chip7.dev --plot chip7.png
    """
    from compiler.cli import device_report, measures
    from compiler.cli.output_files import require_file, write_file
    from compiler.cli.progress import working
    from isa.device_file import open_device
    from sim.health import bank_health

    if plot:
        require_file(plot)
    with working("reading the device"), open_device(path) as file:
        banks = bank_health(file.state)
    if plot:
        write_file(plot, device_report.picture(file.state, banks))
    if as_json:
        measures.print_json(device_report.facts(file.state, banks))
        return
    device_report.print_device(file.state, banks, by)
    if plot:
        click.echo(f"{plot}: wear, reads and errors of every bank")


@device.command()
@DEVICE
@click.option("--years", type=click.FloatRange(0), default=0.0, help="Time that passes.")
@click.option("--days", type=click.FloatRange(0), default=0.0)
@click.option("--hours", type=click.FloatRange(0), default=0.0)
@click.option("--celsius", type=click.FloatRange(-60, 300), default=None, help="Meanwhile [what retention is rated at].")
@JSON
def age(path: Path, years: float, days: float, hours: float, celsius: float | None, as_json: bool) -> None:
    """Let time pass. Cells drift faster where it is hotter, by the law of Arrhenius.

    \b
    lockstep device age chip7.dev --years 10 --celsius 85
    lockstep device age chip7.dev --hours 1000 --celsius 150
    """
    from compiler.cli import measures
    from isa.device_file import open_device
    from isa.rram_device import SECONDS_A_YEAR

    seconds = years * SECONDS_A_YEAR + days * 86400 + hours * 3600
    if not 0 < seconds < 1e15:
        raise click.UsageError("say how much time passes: --years, --days or --hours")
    with open_device(path) as file:
        state = file.state
        rated = state.device.retention_celsius
        factor = state.device.acceleration(rated if celsius is None else celsius)
        state.elapsed_s += seconds
        state.clock_s += seconds * factor
        file.save()
    values = {
        "elapsed_years": state.elapsed_s / SECONDS_A_YEAR,
        "equivalent_years": state.clock_s / SECONDS_A_YEAR,
        "equivalent_celsius": rated,
        "acceleration": factor,
    }
    if as_json:
        measures.print_json(values)
        return
    click.echo(
        f"{path}: {values['elapsed_years']:.4g} years old; drifted as in {values['equivalent_years']:.4g} years "
        f"at {rated:g} °C (this time: {factor:.4g} times as fast)"
    )


@device.command()
@DEVICE
@click.option(
    "--cell", "cells", multiple=True, metavar="UNIT:ADDRESS:CELL", help="A cell; those of word w are 144·w … 144·w+143."
)
@click.option("--row", "rows", multiple=True, metavar="UNIT:ADDRESS", help="All cells of a row.")
@click.option("--random", "count", type=click.IntRange(0), default=0, help="That many cells of rows that hold something.")
@click.option("--kind", type=click.Choice(["flip", "stuck0", "stuck1"]), default="flip", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of --random.")
@JSON
def inject(path: Path, cells: tuple[str, ...], rows: tuple[str, ...], count: int, kind: str, seed: int, as_json: bool) -> None:
    """Plant faults. A flipped cell errs until its row is written again, a stuck one for ever.

    \b
    lockstep device inject chip7.dev --random 1000
    lockstep device inject chip7.dev --cell rram.w0:17:5 --kind stuck1
    lockstep device inject chip7.dev --row rram.e3:4000 --kind stuck0
    """
    from compiler.cli import measures
    from isa.device_file import open_device
    from sim.planting import cell_named, plant, random_cells, row_named

    kinds = {"flip": 0, "stuck0": 1, "stuck1": 2}
    with open_device(path) as file:
        places = [cell_named(file.state, text) for text in cells] + [row_named(file.state, text) for text in rows]
        places += random_cells(file.state, count, seed)
        if not places:
            raise click.UsageError("say what to plant: --cell, --row or --random")
        plant(file.state, places, kinds[kind])
        file.save()
        total = len(file.state.faults)
    if as_json:
        measures.print_json({"planted": len(places), "kind": kind, "faults": total})
        return
    click.echo(f"{path}: {len(places):,} {kind} planted, {total:,} planted faults in all")


@device.command()
@DEVICE
@click.option("--due", type=click.FloatRange(0, 1), default=None, help="Share of its limit from which a row is due [0.8].")
@click.option("--program", "program_path", metavar="P.lbin", type=click.Path(path_type=Path), help="How often must this scrub?")
@click.option("--requests", type=click.FloatRange(0, min_open=True), default=1000.0, show_default=True, help="A second, of it.")
@click.option("--celsius", type=click.FloatRange(-60, 300), default=None, help="Of the chip at work [as retention is rated].")
@click.option("--plan-only", is_flag=True, help="Say how often, and scrub nothing.")
@JSON
def scrub(
    path: Path, due: float | None, program_path: Path | None, requests: float, celsius: float | None, plan_only: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Read every row that holds something; correct and write again those that near a limit or err.

    \b
    lockstep device scrub chip7.dev
    lockstep device scrub chip7.dev --program model.lbin --requests 1000 --celsius 85 --plan-only
    """
    from compiler.cli import device_report, measures
    from compiler.cli.progress import tracked
    from compiler.session import read_program
    from isa.device_file import open_device
    from sim.programming import BATCH_ROWS, require_same_chip
    from sim.scrubbing import DUE_SHARE, scrub_device, scrub_plan

    if plan_only and not program_path:
        raise click.UsageError("--plan-only needs --program: the model that the plan is for")
    share = DUE_SHARE if due is None else due
    program = read_program(program_path) if program_path else None
    values: dict[str, object] = {}
    with open_device(path) as file:
        if program:
            require_same_chip(file.state, program)
        if not plan_only:
            held = [int(part.held.sum()) for part in file.state.slices.values()]
            batches = sum(-(-rows // BATCH_ROWS) for rows in held)
            reports = deque(tracked(scrub_device(file.state, file.save, share), batches, "scrubbing"), maxlen=1)
            values["scrub"] = device_report.scrub_facts(reports[0] if reports else None)
        if program:
            degrees = file.state.device.retention_celsius if celsius is None else celsius
            plans = scrub_plan(file.state, program, requests, degrees, share)
            values["plan"] = device_report.plan_facts(plans, requests, degrees)
    if as_json:
        measures.print_json(values)
    else:
        device_report.print_scrub(path, values)
