"""Networks on a chip: cycles, their bound and what sets it, utilisation, energy, seconds, and the error against f32.

    python benchmarks/networks.py [resnet-50 …] [--chip tsp] [--precision int8] [--size 224] [--json]

A row is printed only if simulated = predicted cycles and the bits are those of the reference evaluation. Networks with random
weights are for cycles, which do not depend on them. The published cycles are those of silicon; ours are of a model with the
published resources and latencies of our choosing.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

import numpy as np
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain
from network_case import Arrays, Builder, Case, Entry, Limit
from network_efficientnet import efficientnet_case
from network_encoders import bert_case, minilm_case
from network_graphs import RESNETS, resnet_case

from compiler.pipeline import compile_graph
from compiler.session import Compiled, performance, reference_calls, run_and_compare
from isa.chip import Chip, load_chip
from isa.errors import ModelFault

BUILDERS: dict[str, Builder] = {f"resnet-{depth}": resnet_case(depth) for depth in RESNETS}
BUILDERS |= {"bert-base": bert_case(), "minilm": minilm_case}
BUILDERS["efficientnet-lite0"] = efficientnet_case
ENTRIES = (
    # Published cycles are at 900 MHz from images a second: 20.4 K, and 14.3 K and 10.7 K projected (Abts et al., ISCA 2020).
    Entry("resnet-50", "tsp", "int8", 224, Limit("cycles", 36_000, 28_000), published=44_118),
    Entry("resnet-101", "tsp", "int8", 224, Limit("cycles", 52_000, 43_000), published=62_937),
    Entry("resnet-152", "tsp", "int8", 224, Limit("cycles", 70_000, 60_000), published=84_112),
    Entry("resnet-50", "lpu-rram", "int8", 224, Limit("ideal memory", 1.15, 1.02)),
    Entry("efficientnet-lite0", "lpu-rram", "int8", 224, Limit("cycles", 25_000, 10_000), cosine=0.98),
    Entry("efficientnet-lite0", "lpu-rram", "f16", 224, cosine=0.9999),
    # The encoder alone, 128 tokens (Groq, cited in Abts et al., ISCA 2022).
    Entry("bert-base", "tsp", "int8", 128, Limit("cycles", 90_000, 50_000), published=117_000),
    Entry("bert-base", "lpu-rram", "int8", 128, Limit("ideal memory", 1.15, 1.02)),
    Entry("minilm", "lpu-rram", "f16", 16, Limit("bound", 1.6, 1.2), cosine=0.9995),
    Entry("minilm", "lpu-rram", "f16", 128, Limit("bound", 1.6, 1.2), cosine=0.9995),
    Entry("minilm", "lpu-rram", "i8f16", 16, Limit("bound", 1.6, 1.2), cosine=0.999),
    Entry("minilm", "lpu-rram", "i8f16", 128, Limit("bound", 1.6, 1.2), cosine=0.999),
)

TABLE: tuple[Column, ...] = (
    ("network", "network", ""), ("chip", "chip", ""), ("precision", "precision", ""), ("size", "size", "d"),
    ("cycles", "cycles", ",d"), ("published", "published_cycles", ",d"), ("bound", "bound_cycles", ",d"),
    ("set by", "bound_by", ""), ("× bound", "of_bound", ".2f"), ("× ideal memory", "of_ideal_memory", ".3f"),
    ("must", "must", ",.6g"), ("aim", "aim", ",.6g"), ("of", "measure", ""), ("", "reached", ""),
    ("cosine to f32", "cosine", ".6f"), ("must", "must_cosine", ".6g"), ("", "cosine_reached", ""), ("top", "same_top", ""),
    ("MXM", "mxm_utilisation", ".1%"), ("energy uJ", "energy_uj", ",.0f"),
    ("compile s", "compile_seconds", ".1f"), ("simulate s", "simulate_seconds", ".1f"),
)  # fmt: skip


def measure(entry: Entry, chip: Chip) -> Row | None:
    """One network, compiled, run and compared with the reference; None where its files are not there. Raises ToolchainError,
    PromiseFault among them."""
    case = BUILDERS[entry.network](entry.precision, entry.size, chip)
    if case is None:
        return None
    begun = time.perf_counter()
    program = compile_graph(case.module.clone(), case.weights, chip)
    compiled = Compiled(program, case.module, case.weights, time.perf_counter() - begun)
    begun = time.perf_counter()
    reference_calls(compiled, [case.inputs])
    reference_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    result = run_and_compare(compiled, [case.inputs], ["fast"])[0]
    simulate_seconds = time.perf_counter() - begun - reference_seconds
    found = performance(program, result)
    cycles, bound, limit = found["cycles"], found["bound_cycles"], entry.limit
    ideal = cycles / ideal_memory_cycles(case, chip) if limit and limit.measure == "ideal memory" else None
    values = {"cycles": cycles, "bound": cycles / bound, "ideal memory": ideal}
    cosine, same_top = errors(result.outputs, case.wanted())
    return {
        "network": entry.network, "chip": chip.name, "precision": entry.precision, "size": entry.size, "cycles": cycles,
        "published_cycles": entry.published, "bound_cycles": bound, "bound_by": found["bound_by"], "of_bound": cycles / bound,
        "of_ideal_memory": ideal, "must": limit and limit.must, "aim": limit and limit.aim,
        "measure": limit.measure if limit else "",
        "reached": mark(values[limit.measure], limit.must, limit.aim, least=False) if limit else "",
        "cosine": cosine, "must_cosine": entry.cosine, "same_top": same_top,
        "cosine_reached": mark(cosine, entry.cosine, None) if cosine is not None else "",
        "mxm_utilisation": found["mxm_utilisation"], "energy_uj": found["energy_uj"],
        "compile_seconds": compiled.seconds, "simulate_seconds": simulate_seconds,
    }  # fmt: skip


def ideal_memory_cycles(case: Case, chip: Chip) -> int:
    """Cycles of the network on the chip with banks of RRAM that can be read in every cycle."""
    assert chip.rram is not None, "only rows of chips with RRAM ask for this"
    ideal = chip.model_copy(update={"rram": chip.rram.model_copy(update={"busy_cycles": 1})})
    return compile_graph(case.module.clone(), case.weights, ideal).facts["predicted_cycles"]


def errors(outputs: Arrays, wanted: Arrays | None) -> tuple[float | None, str]:
    """The cosine of all outputs together to those in f32, and whether the largest number of each stands at the same place."""
    if wanted is None:
        return None, "-"
    a, b = (np.concatenate([np.ravel(x[name]).astype(np.float64) for name in wanted]) for x in (outputs, wanted))
    same = all(np.argmax(outputs[name]) == np.argmax(wanted[name]) for name in wanted)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))), "same" if same else "other"


def chosen(networks: list[str], chip: str | None, precision: str | None, size: int | None) -> list[Entry]:
    """The rows that are asked for. A chip, a precision or a size that no row of a network has makes a row without limits."""
    found: list[Entry] = []
    for name in networks or list(BUILDERS):
        rows = [e for e in ENTRIES if e.network == name]
        changed = [replace(rows[0], chip=chip or rows[0].chip, precision=precision or rows[0].precision, limit=None,
                           cosine=None, published=None)]  # fmt: skip
        fitting = [e for e in rows if (chip or e.chip, precision or e.precision) == (e.chip, e.precision)] or changed
        unjudged = [replace(e, size=size or e.size, limit=None, cosine=None, published=None) for e in fitting]
        found += [e if size in (None, e.size) else u for e, u in zip(fitting, unjudged, strict=True)]
    return found


def known(name: str) -> str:
    """A network's name, for argparse."""
    if name not in BUILDERS:
        raise argparse.ArgumentTypeError(f"no network '{name}'; there are {', '.join(BUILDERS)}")
    return name


def main() -> None:
    parser = arguments_of("Networks: cycles of the whole of each, verified, and its error against f32.")
    parser.add_argument("networks", nargs="*", type=known, metavar="NETWORK", help=f"{', '.join(BUILDERS)} (default all)")
    parser.add_argument("--chip", help="only rows of this chip; a preset or a TOML file")
    parser.add_argument("--precision", choices=["int8", "f16", "i8f16", "f32"], help="only rows of this precision")
    parser.add_argument("--size", type=positive, help="another side of the image, or number of tokens, than a row's")
    given = parser.parse_args()
    rows: list[Row] = []
    for entry in chosen(given.networks, given.chip, given.precision, given.size):
        try:
            row = measure(entry, load_chip(entry.chip))
        except ModelFault as fault:
            print(f"{entry.network} in {entry.precision} on {entry.chip}: {fault.message}", file=sys.stderr)
            continue
        if row is None:
            print(f"{entry.network}: its files are not here; its sample fetches them", file=sys.stderr)
        else:
            rows.append(row)
    if not rows:
        sys.exit(1)
    if given.json:
        print_json("networks", rows)
        return
    print_table("one call each; bits as the reference, cycles as predicted", TABLE, rows)
    print("\npublished: silicon. Ours is a model with its published resources and latencies of our choosing.")


if __name__ == "__main__":
    run_or_explain(main)
