"""What commands say of a device: facts for --json, tables and a picture for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from isa.errors import DataFault
from isa.rram_device import SECONDS_A_YEAR
from isa.rram_state import RramState
from sim.health import BankHealth
from sim.programming import ProgramReport
from sim.scrubbing import ScrubPlan, ScrubReport
from sim.write_time import MaintenanceWork

Facts = dict[str, Any]
_SUMS = (
    "rows_held",
    "bad_rows",
    "spares_used",
    "wrong_cells",
    "uncorrectable_now",
    "corrected",
    "uncorrectable",
    "miscorrected",
)
_MOST = ("most_wear", "most_reads", "oldest_years")
LOST_SHOWN = 5


def _total(banks: Sequence[BankHealth]) -> Facts:
    held = sum(bank.rows_held for bank in banks)
    total: Facts = {name: sum(getattr(bank, name) for bank in banks) for name in _SUMS}
    total |= {name: max((getattr(bank, name) for bank in banks), default=0) for name in _MOST}
    total["mean_wear"] = sum(bank.mean_wear * bank.rows_held for bank in banks) / held if held else 0.0
    return total


def facts(state: RramState, banks: Sequence[BankHealth]) -> Facts:
    """`lockstep device show --json`."""
    return {
        "chip": state.chip.name,
        "chip_digest": state.chip.digest,
        "seed": state.seed,
        "corner": state.corner,
        "elapsed_years": state.elapsed_s / SECONDS_A_YEAR,
        "equivalent_years": state.clock_s / SECONDS_A_YEAR,
        "runs": state.runs,
        "planted_faults": len(state.faults),
        "programs": [{"name": r.name, "digest": r.digest, "rows": r.rows} for r in state.residents],
        "total": _total(banks),
        "banks": [asdict(bank) for bank in banks],
    }


def print_device(state: RramState, banks: Sequence[BankHealth], by: str) -> None:
    """Lines about the device, and a table with a line a slice or a bank."""
    years, drifted = (seconds / SECONDS_A_YEAR for seconds in (state.elapsed_s, state.clock_s))
    click.echo(
        f"{state.chip.name}, seed {state.seed}, {state.corner} cells; {years:.4g} years old, drifted as in {drifted:.4g} years "
        f"at {state.device.retention_celsius:g} °C; {state.runs:,} runs"
    )
    for resident in state.residents:
        click.echo(f"program {resident.name}: {resident.rows:,} rows ({resident.digest[:12]})")
    if not state.residents:
        click.echo("no program is on it")
    if state.faults:
        click.echo(f"{len(state.faults):,} planted faults")
    if not banks:
        return
    titles = (
        by,
        "rows",
        "bad",
        "spares",
        "wear",
        "max",
        "reads",
        "years",
        "wrong cells",
        "lost now",
        *("corr.", "lost", "miscorr."),
    )
    rows: list[tuple[str, Facts]] = []
    for unit, group in groupby(banks, key=lambda bank: bank.unit):
        mine = list(group)
        rows += [(f"{unit}.b{b.bank}", asdict(b)) for b in mine] if by == "bank" else [(unit, _total(mine))]
    rows.append(("all", _total(banks)))
    _print_table(titles, [_cells(name, row) for name, row in rows])
    click.echo(
        "wear: mean and most write cycles a row; reads: most since a row's last write; years: since a row's last write, as\n"
        "retention is rated; lost now: words past correction as it stands; corr., lost, miscorr.: words in all runs so far"
    )


def _cells(name: str, row: Facts) -> tuple[str, ...]:
    return (
        name, f"{row['rows_held']:,}", str(row["bad_rows"]), str(row["spares_used"]), f"{row['mean_wear']:.4g}",
        f"{row['most_wear']:,}", f"{row['most_reads']:,}", f"{row['oldest_years']:.3g}", f"{row['wrong_cells']:,}",
        *(f"{row[key]:,}" for key in ("uncorrectable_now", "corrected", "uncorrectable", "miscorrected")),
    )  # fmt: skip


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[i]) for line in [titles, *rows]) for i in range(len(titles))]
    for line in [titles, *rows]:
        text = [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))]
        click.echo("  ".join(text))


def picture(state: RramState, banks: Sequence[BankHealth]) -> bytes:
    """A PNG: a map of slices × banks for wear, reads and wrong cells. Raises DataFault without matplotlib."""
    try:
        from compiler.cli.device_picture import bank_maps
    except ImportError:
        raise DataFault("pictures need matplotlib", hint="pip install 'lockstep-lpu[plot]'") from None
    file = BytesIO()
    bank_maps(state, banks, file)
    return file.getvalue()


# Maintenance ----------------------------------------------------------------------------------------------------------


def _work_facts(work: MaintenanceWork) -> Facts:
    return {
        "cycles": work.cycles,
        "read_cycles": work.read_cycles,
        "write_cycles_time": work.write_cycles,
        "seconds": work.seconds,
        "energy_uj": work.energy_uj().model_dump(),
    }


def program_facts(report: ProgramReport) -> Facts:
    """`lockstep program --json`."""
    return {
        "rows": report.rows,
        "skipped": report.skipped,
        "written": report.written,
        "write_cycles": report.write_cycles,
        "retries": report.retries,
        "spared": report.spared,
        "most_worn": report.most_worn,
        "displaced": list(report.displaced),
        **_work_facts(report.work),
    }


def print_program(path: Path, report: ProgramReport) -> None:
    """What programming did, for people."""
    energy = report.work.energy_uj()
    rows = (
        ("rows", f"{report.rows:,}"),
        ("held their value already", f"{report.skipped:,}"),
        ("written", f"{report.written:,}"),
        ("write cycles again (verify failed)", f"{report.retries:,}"),
        ("rows replaced by spare ones", f"{report.spared:,}"),
        ("write cycles of the most worn row", f"{report.most_worn:,} of {report.work.state.device.endurance_writes:,}"),
        ("time", f"{report.work.cycles:,} cycles = {report.work.seconds:.4g} s"),
        ("energy", f"{energy.typical * 1e-6:.4g} J ({energy.low * 1e-6:.3g} to {energy.high * 1e-6:.3g})"),
    )
    click.echo(f"{path}: programmed")
    for name, value in rows:
        click.echo(f"  {name:36} {value}")
    for name in report.displaced:
        click.echo(f"  not on the device any more: {name}")


def scrub_facts(report: ScrubReport | None) -> Facts:
    """`lockstep device scrub --json`, the part about this scrub. None where the device holds nothing."""
    if report is None:
        return {"rows": 0, "rewritten": 0, "lost": []}
    names = (
        "rows", "due_reads", "due_age", "due_errors", "rewritten", "write_cycles", "corrected", "spared", "most_worn",
    )  # fmt: skip
    return {name: getattr(report, name) for name in names} | {
        "lost": [list(place) for place in report.lost],
        **_work_facts(report.work),
    }


def plan_facts(plans: Sequence[ScrubPlan], requests: float, celsius: float) -> Facts:
    """The part about how often."""
    return {"requests_per_s": requests, "celsius": celsius, "corners": [asdict(plan) for plan in plans]}


def print_scrub(path: Path, values: Mapping[str, Any]) -> None:
    """Both parts, for people."""
    if scrub := values.get("scrub"):
        click.echo(f"{path}: {scrub['rows']:,} rows read, {scrub['rewritten']:,} written again")
        if scrub["rows"]:
            click.echo(
                f"  due by reads {scrub['due_reads']:,}, by age {scrub['due_age']:,}, by errors {scrub['due_errors']:,}; "
                f"{scrub['corrected']:,} words corrected, {scrub['spared']:,} rows replaced by spare ones"
            )
            click.echo(f"  {scrub['cycles']:,} cycles = {scrub['seconds']:.4g} s, {scrub['energy_uj']['typical'] * 1e-6:.4g} J")
        if lost := scrub["lost"]:
            shown = ", ".join(f"{unit}:{address}" for unit, address in lost[:LOST_SHOWN])
            click.echo(f"  {len(lost):,} rows are lost and must be programmed again: {shown}{' …' * (len(lost) > LOST_SHOWN)}")
    if plan := values.get("plan"):
        click.echo(f"at {plan['requests_per_s']:g} requests a second and {plan['celsius']:g} °C:")
        rows = [
            (
                corner["corner"], _duration(corner["interval_s"]), corner["limited_by"], _duration(corner["scrub_s"]),
                f"{corner['busy_share']:.2%}", f"{corner['life_years']:.4g}",
            )
            for corner in plan["corners"]
        ]  # fmt: skip
        _print_table(("cells", "scrub every", "because of", "a scrub takes", "of all time", "life, years"), rows)


def _duration(seconds: float) -> str:
    for unit, size in (("years", SECONDS_A_YEAR), ("days", 86400.0), ("hours", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
