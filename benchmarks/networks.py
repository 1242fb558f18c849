"""ResNets on a chip: cycles, their bound and what sets it, utilisation, energy, seconds.

    python benchmarks/networks.py [resnet-50 …] [--chip tsp] [--size 224] [--json]

int8, random weights: time on this chip does not depend on them. A row is printed only if simulated = predicted cycles and the
bits are those of the reference evaluation. The published cycles are those of silicon; ours are of a model with the published
resources and latencies of our choosing.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain
from network_graphs import RESNETS, resnet

from compiler.pipeline import compile_graph
from compiler.session import Compiled, performance, reference_calls, run_and_compare
from isa.chip import Chip, load_chip

IMAGE = 224
NETWORKS = {f"resnet-{depth}": depth for depth in RESNETS}
BOUNDS = {"resnet-50": (36_000, 28_000), "resnet-101": (52_000, 43_000), "resnet-152": (70_000, 60_000)}
"""(must, aim) cycles on `tsp`."""
PUBLISHED = {"resnet-50": 44_118, "resnet-101": 62_937, "resnet-152": 84_112}
"""Cycles at 900 MHz from images a second: 20.4 K, and 14.3 K and 10.7 K projected (Abts et al., ISCA 2020)."""

TABLE: tuple[Column, ...] = (
    ("network", "network", ""), ("chip", "chip", ""), ("image", "image", "d"), ("cycles", "cycles", ",d"),
    ("must", "must_cycles", ",d"), ("aim", "aim_cycles", ",d"), ("", "reached", ""), ("published", "published_cycles", ",d"),
    ("bound", "bound_cycles", ",d"), ("set by", "bound_by", ""), ("MXM", "mxm_utilisation", ".1%"),
    ("energy uJ", "energy_uj", ",.0f"), ("compile s", "compile_seconds", ".1f"), ("simulate s", "simulate_seconds", ".1f"),
)  # fmt: skip


def measure(name: str, chip: Chip, size: int) -> Row:
    """One network, compiled, run and compared with the reference. Raises ToolchainError, PromiseFault among them."""
    builder = resnet(NETWORKS[name], size)
    module = builder.module()
    begun = time.perf_counter()
    program = compile_graph(module.clone(), builder.weights, chip)
    compiled = Compiled(program, module, builder.weights, time.perf_counter() - begun)
    image = np.random.default_rng(1).integers(-100, 101, (size, size, 3)).astype(np.int8)
    begun = time.perf_counter()
    reference_calls(compiled, [{"image": image}])
    reference_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    result = run_and_compare(compiled, [{"image": image}], ["fast"])[0]
    simulate_seconds = time.perf_counter() - begun - reference_seconds
    found = performance(program, result)
    judged = (chip.name, size) == ("tsp", IMAGE)
    must, aim = BOUNDS[name] if judged else (None, None)
    return {
        "network": name, "chip": chip.name, "image": size, "cycles": found["cycles"], "must_cycles": must, "aim_cycles": aim,
        "reached": mark(found["cycles"], must, aim, least=False), "published_cycles": PUBLISHED[name] if judged else None,
        "bound_cycles": found["bound_cycles"], "bound_by": found["bound_by"], "mxm_utilisation": found["mxm_utilisation"],
        "energy_uj": found["energy_uj"], "compile_seconds": compiled.seconds, "simulate_seconds": simulate_seconds,
    }  # fmt: skip


def known(name: str) -> str:
    """A network's name, for argparse."""
    if name not in NETWORKS:
        raise argparse.ArgumentTypeError(f"no network '{name}'; there are {', '.join(NETWORKS)}")
    return name


def main() -> None:
    parser = arguments_of("ResNets in int8: cycles of the whole network, verified.")
    parser.add_argument("networks", nargs="*", type=known, default=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--chip", default="tsp", help="a preset or a TOML file (default tsp)")
    parser.add_argument("--size", type=positive, default=IMAGE, help=f"height and width of the image (default {IMAGE})")
    given = parser.parse_args()
    chip = load_chip(given.chip)
    rows = [measure(name, chip, given.size) for name in given.networks]
    if given.json:
        print_json("networks", rows)
        return
    print_table("int8, one image, random weights; bits as the reference, cycles as predicted", TABLE, rows)
    print("\npublished: silicon. Ours is a model with its published resources and latencies of our choosing.")


if __name__ == "__main__":
    run_or_explain(main)
