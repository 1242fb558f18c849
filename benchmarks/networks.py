"""ResNets on the chips: cycles, their bound and what sets it, utilisation, energy, seconds; every row is verified.

    python benchmarks/networks.py [resnet-50 …] [--chip tsp] [--size 224]

A row is printed only if simulated = predicted cycles and the bits are those of the reference evaluation. Weights are random.
The
published cycles are those of silicon; ours are of a model with the published resources and latencies of our choosing.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from network_graphs import RESNETS, resnet

from compiler.pipeline import compile_graph
from compiler.session import Compiled, performance, reference_calls, run_and_compare
from isa.chip import load_chip

PUBLISHED = {"resnet-50": 44_118, "resnet-101": 62_937, "resnet-152": 84_112}
"""Cycles at 900 MHz from images a second: 20.4 K, and 14.3 K and 10.7 K projected (Abts et al., ISCA 2020)."""


def row(name: str, chip_name: str, size: int) -> str:
    """One network, compiled, run and compared with the reference. Raises PromiseFault."""
    chip = load_chip(chip_name)
    builder = resnet(int(name.removeprefix("resnet-")), size)
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
    published = PUBLISHED[name] if size == 224 and chip_name == "tsp" else None
    return (
        f"{name} {chip_name} int8 {size}: {found['cycles']:,} cycles (published {published or 'none'}), bound "
        f"{found['bound_cycles']:,} by {found['bound_by']}, MXM {found['mxm_utilisation']:.1%}, {found['energy_uj']:.0f} uJ, "
        f"compile {compiled.seconds:.1f} s, simulate {simulate_seconds:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[f"resnet-{depth}" for depth in RESNETS])
    parser.add_argument("--chip", default="tsp")
    parser.add_argument("--size", type=int, default=224)
    given = parser.parse_args()
    for name in given.networks:
        print(row(name, given.chip, given.size), flush=True)


if __name__ == "__main__":
    main()
