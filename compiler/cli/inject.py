"""`lockstep inject`: a program run again and again under random faults."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sim.campaign import Campaign, Tally


@click.command()
@click.argument("source", metavar="PROGRAM", type=click.Path(path_type=Path))
@click.option("--faults", required=True, metavar="SPEC", help="What to plant in every run; see below.")
@click.option("--runs", type=click.IntRange(1), default=1000, show_default=True, help="Runs.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of faults, and of inputs not given.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes; the result is the same for any.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input of the program [random].")
@click.option("--calls", type=click.IntRange(1), default=1, show_default=True, help="Input sets, taken in turn by the runs.")
@click.option("--plot", metavar="F.png", type=click.Path(path_type=Path), help="Draw accuracy against raw error rate.")
@click.option("--labels", metavar="FILE.npy", type=click.Path(path_type=Path), help="For --plot: the right class of each call.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inject(
    source: Path,
    faults: str,
    runs: int,
    seed: int,
    jobs: int,
    inputs: tuple[str, ...],
    calls: int,
    plot: Path | None,
    labels: Path | None,
    as_json: bool,
) -> None:
    """Run a program (.lbin or .lasm) under random faults and say what becomes of them.

    \b
    corrected   every wrong word that was read came out of its decoder right
    trapped     a word was past correction, or the program broke a rule: no result
    masked      wrong bits that nobody read, or that changed no output
    silent      an output is wrong and nothing said so
    clean       no fault was drawn

    SPEC is a list of kinds of faults, all of which each run has:

    \b
    cells:words=all:bits=0-2   wrong cells in code words of RRAM; words=N of them [1], bits in each [1]
    cells:rate=1e-5            every cell errs with this probability
    rows:count=1               rows of RRAM with all cells stuck at 0 or 1
    streams:words=1:bits=2     bits that flip in values under way, in one superlane each
    sram:words=1:bits=1        bits that flip in words of SRAM, at any time

    \b
    lockstep inject model.lbin --faults cells:words=all:bits=0-2 --runs 10000
    lockstep inject model.lbin --faults streams:bits=2,cells:rate=1e-4 --jobs 2 --json
    lockstep inject model.lbin --faults cells:rate=1e-4 --input x=x.npy --calls 60 --labels labels.npy --plot accuracy.png

    --plot tries raw error rates from 1e-6 to 1e-1, with the code and without it: the share of calls whose outputs are those of
    the fault-free program and, with --labels, the share whose largest output is the right one. A call that traps has neither.
    """
    from compiler.cli import measures
    from compiler.cli.fault_rates import accuracy_against_rate, read_labels
    from compiler.cli.output_files import require_file
    from compiler.cli.program_places import require_valid_file
    from compiler.session import read_program
    from sim.campaign import Campaign
    from sim.fault_spec import parse_faults

    if labels and not plot:
        raise click.UsageError("--labels is about the plot: give --plot too")
    specs = parse_faults(faults)
    if plot:
        require_file(plot)
    program = read_program(source)
    require_valid_file(program, source)
    each = _calls(program, inputs, calls, seed)
    classes = read_labels(labels, calls) if labels else None
    campaign = Campaign(program, each, specs, seed)
    begun = time.perf_counter()
    tally = _run(campaign, runs, jobs)
    values = _described(campaign, tally, faults, runs, seed) | {"seconds": time.perf_counter() - begun}
    if plot:
        values["accuracy"] = accuracy_against_rate(campaign, classes, plot)
    if as_json:
        measures.print_json(values)
        return
    _print(values)
    if plot:
        click.echo(f"{plot}: accuracy against raw error rate")


def _calls(program: Any, inputs: tuple[str, ...], calls: int, seed: int) -> list[dict[str, Any]]:
    """Given inputs, or random ones of the types that the program asks for."""
    from compiler.cli import tensors
    from compiler.cli.random_inputs import random_program_inputs

    files = tensors.parse_assignments(inputs)
    if files:
        return list(tensors.split_calls(tensors.read_inputs(files), files, program, calls))
    return random_program_inputs(program, seed, calls)


_worker: Campaign | None = None


def _start_worker(campaign: Campaign) -> None:
    global _worker
    _worker = campaign


def _work(chunk: tuple[int, int]) -> Tally:
    assert _worker is not None
    return _worker.run_chunk(*chunk)


def _run(campaign: Campaign, runs: int, jobs: int) -> Tally:
    """All chunks, on so many processes, with a progress bar."""
    from concurrent.futures import ProcessPoolExecutor

    from compiler.cli.progress import tracked
    from sim.campaign import total

    chunks = campaign.chunks(runs)
    if min(jobs, len(chunks)) == 1:
        return total([campaign.run_chunk(*chunk) for chunk in tracked(chunks, len(chunks), "injecting")])
    with ProcessPoolExecutor(min(jobs, len(chunks)), initializer=_start_worker, initargs=(campaign,)) as pool:
        return total(list(tracked(pool.map(_work, chunks), len(chunks), "injecting")))


def _described(campaign: Campaign, tally: Tally, faults: str, runs: int, seed: int) -> dict[str, Any]:
    """What `--json` prints."""
    from sim.campaign import OUTCOMES, wilson

    counts = dict(zip(OUTCOMES, tally.runs.tolist(), strict=True))
    outcomes = {
        name: {"runs": count, "share": count / runs, "interval": list(wilson(count, runs))} for name, count in counts.items()
    }
    codes: list[tuple[str, Any, Any]] = [("streams and SRAM", campaign.timeline.code, tally.stream_words)]
    if campaign.cells:
        codes.insert(0, ("RRAM", campaign.cells.code, tally.rram_words))
    return {
        "faults": faults,
        "runs": runs,
        "seed": seed,
        "outcomes": outcomes,
        "interval": "95 % Wilson score interval of the share of runs",
        "runs_made": tally.made,
        "words": [row for name, code, words in codes for row in _words(name, code, words)],
    }


def _words(name: str, code: Any, words: Any) -> list[dict[str, Any]]:
    """What decoders did, by wrong bits a word, beside the share of patterns that theory says are taken for another word."""
    from sim.campaign import wilson
    from sim.cell_faults import MOST_WRONG
    from sim.code_theory import undetected_share

    rows: list[dict[str, Any]] = []
    for wrong_bits, (corrected, refused, mistaken) in enumerate(words.tolist()):
        read = corrected + refused + mistaken
        if not read:
            continue
        most = wrong_bits == MOST_WRONG
        few = wrong_bits <= 2 and not mistaken and (corrected == read or refused == read)
        theory = None if most or wrong_bits > 6 else 0.0 if few else undetected_share(code, wrong_bits)
        rows.append(
            {
                "code": f"{name} ({code.bits}, {code.data_bits})", "wrong_bits": wrong_bits, "or_more": most, "read": read,
                "corrected": corrected, "refused": refused, "mistaken": mistaken, "mistaken_share": mistaken / read,
                "interval": list(wilson(mistaken, read)), "theory": theory,
            }
        )  # fmt: skip
    return rows


def _print(values: dict[str, Any]) -> None:
    runs = values["runs"]
    click.echo(f"{runs:,} runs with {values['faults']} (seed {values['seed']}), {values['seconds']:.2f} s")
    click.echo(f"{'outcome':10} {'runs':>9} {'share':>9}  95 % interval (Wilson)")
    for name, row in values["outcomes"].items():
        low, high = row["interval"]
        click.echo(f"{name:10} {row['runs']:9,} {row['share']:9.3%}  {low:.3%} to {high:.3%}")
    if values["words"]:
        width = max(len(row["code"]) for row in values["words"])
        head = f"{'wrong words that were read':{max(width, 26)}}  bits"
        click.echo(f"{head} {'words':>11} {'corrected':>11} {'refused':>9} {'mistaken':>9}   share  theory")
        for row in values["words"]:
            bits = f"{row['wrong_bits']}{'+' if row['or_more'] else ' '}"
            theory = "      -" if row["theory"] is None else f"{row['theory']:7.3%}"
            click.echo(
                f"{row['code']:{max(width, 26)}}  {bits:>4} {row['read']:11,} {row['corrected']:11,} {row['refused']:9,} "
                f"{row['mistaken']:9,} {row['mistaken_share']:7.3%} {theory}"
            )
    click.echo(f"{values['runs_made']:,} runs saw other data and were made; all others are decided by what decoders give")
