"""Llama-type models on many chips: how many, at which link rate, how many tokens a second for one user, at what energy.

    python benchmarks/scaling.py [--check] [--json]

A model of a few lines, not a simulation. A token takes a layer the cycles in which the RRAM gives its weights (whole vectors: a
tile column that is not full is read all the same), and a wait W for the chain of small steps between products. W is
calibrated with the compiler: what a second layer of SmolLM2's shape costs on one chip, less its weights. `--check` compiles
other sizes and compares.

On T · P chips, T share every product (tensor split) and P have layers of their own (pipeline). A token passes all layers. A
product that is shared leaves 1/T of the weights to each chip; twice a layer the chips exchange partial sums of the width, f32:
reduce-scatter and all-gather, each 4 · D · (T - 1) / T bytes a chip over its link, and a hop. Between pipeline stages one hop
and 4 · D bytes. Capacity sets the fewest chips: weights in RRAM, keys and values (f16, 4,096 positions, one user) in SRAM,
shared by heads and, where there are more chips than heads, by positions.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from typing import Literal

from measure.decoder import SMOLLM2, Decoder, cycles_of
from measure.tables import Column, Row, arguments_of, print_json, print_table, run_or_explain

from isa.chip import Chip, load_chip

MODELS = (
    Decoder("Llama 3.2 1B", 16, 2048, 32, 8, 8192, 128256),
    Decoder("Llama 3 8B", 32, 4096, 32, 8, 14336, 128256, tied=False),
    Decoder("Llama 2 70B", 80, 8192, 64, 8, 28672, 32000, tied=False),
)
CONTEXT = 4096
WAIT_CYCLES = 502
"""Cycles a layer in which no weights arrive: `--check` measures it anew and says where this is out of date."""
CALIBRATED_CONTEXT = 512
TOLERANCE = 0.05

SRAM_SHARE = 0.9
"""Of the SRAM for keys and values; the rest is for what a token needs on its way."""

LINK_GBYTES = (25, 100, 240)
"""GB/s a chip and direction; 240 are the 16 links of 4 lanes of 30 Gb/s of the TSP (Abts et al., ISCA 2020)."""
HOP_NS = 722
"""Chip to chip, memory to memory, measured on TSPs (Abts et al., ISCA 2022)."""
PUBLISHED = "Groq: Llama 2 70B at 300 tokens/s per user on 576 chips (early 2024)"

TABLE: tuple[Column, ...] = (
    ("model", "model", ""), ("split", "split", ""), ("chips", "chips", ",d"), ("GB/s", "link", "d"),
    ("us a token", "token_us", ",.0f"), ("tokens/s a user", "tokens_per_second", ",.0f"), ("links", "link_share", ".0%"),
    ("RRAM", "rram_share", ".0%"), ("mJ a token", "energy_mj", ",.1f"), ("low", "energy_low_mj", ",.1f"),
    ("high", "energy_high_mj", ",.1f"),
)  # fmt: skip


def tile_rows(chip: Chip, inner: int, columns: int) -> int:
    """Vectors that the weights of a product take: rows times tile columns."""
    return inner * math.ceil(columns / chip.lanes)


def layer_vectors(shape: Decoder, chip: Chip, share: int) -> float:
    """Vectors of weights of a layer on each of `share` chips, shared by tile columns, then by rows. Queries lie as decoder.lks
    has them: a product for each head of a group."""
    group, kv = shape.heads // shape.kv_heads, shape.kv_heads * shape.head
    rows = (group + 2) * tile_rows(chip, shape.width, kv) + group * tile_rows(chip, kv, shape.width)
    rows += 2 * tile_rows(chip, shape.width, shape.hidden) + tile_rows(chip, shape.hidden, shape.width)
    return rows / share


def head_vectors(shape: Decoder, chip: Chip, share: int) -> float:
    return tile_rows(chip, shape.width, shape.vocabulary) / share


def slices(chip: Chip) -> int:
    """Vectors of RRAM a cycle."""
    return len(chip.slices("rram"))


def attention_cycles(shape: Decoder, chip: Chip) -> float:
    """Keys and values of a layer into the matrix unit, beyond the positions with which W was calibrated."""
    vectors = 2 * 2 * (CONTEXT - CALIBRATED_CONTEXT) * math.ceil(shape.kv_heads * shape.head / chip.lanes)
    return vectors / (2 * chip.mxm.load_streams)


def one_chip_cycles(shape: Decoder, chip: Chip, wait: float) -> float:
    layers = shape.layers * (layer_vectors(shape, chip, 1) / slices(chip) + wait)
    return layers + head_vectors(shape, chip, 1) / slices(chip)


@dataclass(frozen=True)
class Split:
    """T chips share each layer, P stages have layers of their own; in a pipeline `ends` more hold embedding and head."""

    tensor: int
    pipeline: int
    ends: int = 0

    @property
    def text(self) -> str:
        stages = f"pipeline {self.pipeline}" + (f" x {self.tensor}" if self.tensor > 1 else "")
        return f"{stages} + {self.ends}" if self.ends else f"tensor {self.tensor}"

    @property
    def chips(self) -> int:
        return self.tensor * self.pipeline + self.ends


def fits(shape: Decoder, chip: Chip, split: Split) -> bool:
    layers = math.ceil(shape.layers / split.pipeline)
    vectors = layers * layer_vectors(shape, chip, split.tensor)
    if not split.ends:
        vectors += ends_vectors(shape, chip, split.tensor)
    state = 2 * 2 * layers * CONTEXT * math.ceil(shape.kv_heads * shape.head / chip.lanes) / split.tensor
    return vectors <= capacity(chip, "rram") and state <= SRAM_SHARE * capacity(chip, "sram")


def ends_vectors(shape: Decoder, chip: Chip, share: int) -> float:
    """The head, and the embedding that is looked up in f16."""
    return head_vectors(shape, chip, share) + 2 * tile_rows(chip, shape.vocabulary, shape.width) / share


def capacity(chip: Chip, memory: Literal["sram", "rram"]) -> int:
    return sum(chip.words(unit.name) for unit in chip.slices(memory))


def fewest(shape: Decoder, chip: Chip, tensor: bool) -> Split:
    """The fewest chips that hold a model, all of one kind of split."""
    ends = math.ceil(ends_vectors(shape, chip, 1) / capacity(chip, "rram"))
    if tensor:
        splits = [Split(n, 1) for n in range(1, 2048)]
    else:  # as few chips a stage as hold a layer
        splits = [Split(t, p, ends) for t in range(1, 9) for p in range(1, shape.layers + 1)]
    return next(split for split in splits if fits(shape, chip, split))


def plan(shape: Decoder, chip: Chip, split: Split, link: float, wait: float) -> Row:
    """What a token takes. Cycles are nanoseconds at 1 GHz; the chip's clock is used."""
    t, p = split.tensor, split.pipeline
    ns = 1 / chip.clock_ghz
    weights = (shape.layers * layer_vectors(shape, chip, t) + head_vectors(shape, chip, t)) / slices(chip) * ns
    waits = shape.layers * (wait + attention_cycles(shape, chip) / t) * ns
    exchanges = 2 * shape.layers * 2 if t > 1 else 0
    steps = p - 1 + split.ends
    links = exchanges * (HOP_NS + 4 * shape.width * (t - 1) / t / link) + steps * (HOP_NS + 4 * shape.width / link)
    total = weights + waits + links
    macs = shape.layers * layer_vectors(shape, chip, 1) * chip.lanes + head_vectors(shape, chip, 1) * chip.lanes
    energy = {kind: _energy_mj(chip, macs, total, t, kind) for kind in ("low", "typical", "high")}
    return {
        "model": shape.name, "split": split.text,
        "chips": split.chips, "link": link,
        "token_us": total / 1e3, "tokens_per_second": 1e9 / total, "link_share": links / total, "rram_share": weights / total,
        "energy_mj": energy["typical"], "energy_low_mj": energy["low"], "energy_high_mj": energy["high"],
    }  # fmt: skip


def _energy_mj(chip: Chip, macs: float, total_ns: float, busy_chips: int, kind: str) -> float:
    """Weights from RRAM, products, and the static power of the chips that work on the token (in a pipeline: of one stage,
    for the others work on other users)."""

    def number(name: str) -> float:
        return getattr(getattr(chip.energy, name), kind)

    dynamic_pj = macs * (8 * number("rram_read_bit_pj") + number("mac_f16_pj"))
    return dynamic_pj * 1e-9 + number("static_w") * busy_chips * total_ns * 1e-6


def check(chip: Chip) -> list[Row]:
    """The model against compiled programs of one chip; W from the first two."""
    small = replace(SMOLLM2, vocabulary=4096)
    one, two = (cycles_of(replace(small, layers=n), chip, CALIBRATED_CONTEXT) for n in (1, 2))
    wait = two - one - layer_vectors(small, chip, 1) / slices(chip)
    base = one - one_chip_cycles(replace(small, layers=1), chip, wait)
    rows: list[Row] = []
    for layers in (3, 5):
        shape = replace(small, layers=layers)
        found = cycles_of(shape, chip, CALIBRATED_CONTEXT)
        expected = one_chip_cycles(shape, chip, wait) + base
        rows.append(
            {"model": f"{layers} layers", "cycles": found, "model_cycles": expected, "off": expected / found - 1, "wait": wait,
             "within": abs(expected / found - 1) <= TOLERANCE}
        )  # fmt: skip
    return rows


CHECKED: tuple[Column, ...] = (
    ("SmolLM2's shape", "model", ""), ("compiled", "cycles", ",d"), ("model", "model_cycles", ",.0f"), ("off", "off", "+.1%"),
    ("W", "wait", ",.0f"), ("within 5 %", "within", ""),
)  # fmt: skip


def main() -> None:
    parser = arguments_of(__doc__ or "")
    parser.add_argument("--check", action="store_true", help="calibrate with the compiler and compare (about a minute)")
    args: argparse.Namespace = parser.parse_args()
    chip = load_chip("lpu-rram")
    checked = check(chip) if args.check else []
    wait = checked[0]["wait"] if checked else WAIT_CYCLES
    rows: list[Row] = []
    for shape in MODELS:
        few = fewest(shape, chip, tensor=True)
        splits = [fewest(shape, chip, tensor=False), few, Split(few.tensor * 4, 1)]
        if "70B" in shape.name:
            splits.append(Split(576, 1))
        rows += [plan(shape, chip, split, link, wait) for split in splits for link in LINK_GBYTES]
    if args.json:
        print_json("scaling", rows, checked=checked, wait_cycles=wait, published=PUBLISHED)
        return
    if checked:
        print_table("The model against compiled programs, one chip", CHECKED, checked)
    print_table(f"{chip.name}, i8 weights, one user, W = {wait:,.0f} cycles a layer", TABLE, rows)
    print(f"\n{PUBLISHED}")


if __name__ == "__main__":
    run_or_explain(main)
