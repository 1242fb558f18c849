"""The node cases of the `onnx` package on the chip: passed, unsupported with a reason, or wrong.

    python benchmarks/onnx_conformance.py [OPERATOR …] [--case NAME] [--module NAME] [--chip CHIP] [--all] [--json]

Each case is imported, compiled, checked, run on the simulated chip, held against the reference evaluation bit for bit and
against the predicted cycles, and then against the outputs that ONNX expects, within the tolerances of its own runner. Inputs
that decide shapes (axes, pads, k, …) are constants of the model; all others are data that arrive at run time.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from measure.onnx_cases import Case, chosen_cases, load_cases
from measure.onnx_judge import STATUSES, TOLERANCES, Verdict, judge
from measure.tables import Column, Row, arguments_of, positive, print_json, print_table, run_or_explain

MUST_PASS = 600

CASES: tuple[Column, ...] = (
    ("case", "case", ""), ("operator", "operator", ""), ("status", "status", ""), ("cycles", "cycles", ",d"),
    ("seconds", "seconds", ".2f"), ("reason", "reason", ""),
)  # fmt: skip

OPERATORS: tuple[Column, ...] = (
    ("operator", "operator", ""), ("passed", "passed", "d"), ("folded", "folded", "d"),
    ("unsupported", "unsupported", "d"), ("wrong", "wrong", "d"), ("outside", "outside", "d"),
)  # fmt: skip


def verdicts(cases: Sequence[Case], chip: str, seconds: float, workers: int) -> Iterator[Verdict]:
    """One for each case, in order, worked out by `workers` processes."""
    work = partial(judge, chip=chip, seconds=seconds)
    if workers == 1:
        yield from map(work, cases)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(work, cases, chunksize=4)


def by_operator(found: Sequence[Verdict]) -> list[Row]:
    counts: dict[str, Counter[str]] = {}
    for verdict in found:
        counts.setdefault(verdict.operator, Counter())[verdict.status] += 1
    return [{"operator": name, **{status: counts[name][status] for status in STATUSES}} for name in sorted(counts)]


def parse_arguments() -> argparse.Namespace:
    parser = arguments_of("The node cases of the onnx package on the chip.")
    parser.add_argument("operators", nargs="*", metavar="OPERATOR", help="only cases of these operators (default all)")
    parser.add_argument("--case", action="append", default=[], metavar="NAME", help="only this case; may be repeated")
    parser.add_argument(
        "--module", action="append", default=[], metavar="NAME",
        help="load only this module of onnx.backend.test.case.node, which is quicker; may be repeated",
    )  # fmt: skip
    parser.add_argument("--chip", default="lpu-rram", help="a preset or a TOML file (default lpu-rram)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds a case (default 60)")
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="processes (default 2)")
    parser.add_argument("--all", action="store_true", help="list every case, not only those that are unsupported or wrong")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    cases = chosen_cases(load_cases(arguments.module), arguments.case, arguments.operators)
    found: list[Verdict] = []
    for verdict in verdicts(cases, arguments.chip, arguments.timeout, arguments.workers):
        found.append(verdict)
        if sys.stderr.isatty():
            print(f"\r{len(found)} of {len(cases)} {verdict.case:<60.60}", end="", file=sys.stderr)
    totals = Counter(verdict.status for verdict in found)
    if arguments.json:
        print_json("onnx_conformance", [verdict.row() for verdict in found], totals={s: totals[s] for s in STATUSES})
        return
    listed = [v.row() for v in found if arguments.all or v.status in ("unsupported", "wrong")]
    print_table(f"Node cases on {arguments.chip}", CASES, listed)
    print_table("By operator", OPERATORS, by_operator(found))
    print()
    for status, meaning in STATUSES.items():
        print(f"{totals[status]:>6} {status:<12}{meaning}")
    for name, (rtol, atol, why) in TOLERANCES.items():
        print(f"{name}: rtol {rtol:g}, atol {atol:g}: {why}")
    if len(found) == len(cases) and not (arguments.case or arguments.operators or arguments.module):
        reached = totals["passed"] >= MUST_PASS and not totals["wrong"]
        print(f"must: at least {MUST_PASS} passed and none wrong: {'✓' if reached else '✗ missed'}")


if __name__ == "__main__":
    run_or_explain(main)
