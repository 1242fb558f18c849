"""A real language model on the chip: cycles of decode and prefill, with bounds, and how near its logits are to f32.

    python benchmarks/llm.py MODEL.gguf [--prefill] [--verify] [--accuracy] [--layers N] [--precision P] [--context C] [--json]

`decode` is one token, `prefill` the first 128 of a text. With `--layers` the model has only so many: quick, to see what a
change to the compiler does; nothing is judged then. `--verify` runs the programs and compares every bit with the reference
evaluation. `--accuracy` runs the listed prompts and compares with NumPy in f32 (measure/llama.py): top five, cosine of the
logits, greedy tokens; `--perplexity` does so with a text.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from measure.decoder import compiled
from measure.llama import Llama
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain

from compiler.cli.llm.generator import Generator
from compiler.cli.llm.gguf_model import read_gguf_model
from compiler.cli.llm.model import Model
from compiler.cli.llm.sampling import Sampling
from compiler.cli.llm.tokenizer import TokenizerOf
from compiler.reference import evaluate
from compiler.session import Compiled, difference
from isa.chip import Chip, load_chip
from isa.errors import PromiseFault
from sim.device import Device

BUCKET = 128
BOUNDS = {("decode", 512): (45_000, 26_000), ("decode", 2048): (60_000, 32_000), ("prefill", 512): (250_000, 120_000)}
"""(must, aim) cycles by program and context."""
PROMPTS = ("The capital of France is", "Once upon a time, there was a little girl named Lily. She loved to")
GREEDY = 16
VERIFIED_TOKENS = 3
PERPLEXITY_TOKENS = 256
TEXT = (
    "The sun is a star at the centre of the solar system. It is a massive ball of hot plasma, heated by nuclear "
    "fusion in its core, and it radiates energy from its surface mainly as visible light and infrared radiation. It "
    "is by far the most important source of energy for life on Earth. The sun has been an object of veneration in "
    "many cultures, and a central subject for astronomical research since antiquity. The planets travel around it "
    "in ellipses, as Kepler found from the observations of Tycho Brahe, and Newton explained why: a body is drawn "
    "towards another with a force that falls with the square of the distance. Light from the sun takes about eight "
    "minutes to reach the Earth. The moon, which travels around the Earth once a month, shows us always the same "
    "side, and when it passes between us and the sun the day turns dark for a few minutes. People have built "
    "instruments to predict such events for thousands of years, from circles of stone to machines of bronze. A telescope "
    "gathers more light than the eye, and a camera can add it up for hours, so that we see galaxies whose light left them "
    "before there was life on Earth. Their colours tell what they are made of and how fast they move away from us. From that "
    "motion it was found that the universe grows, and that it was once small, dense and very hot."
)

TABLE: tuple[Column, ...] = (
    ("program", "program", ""), ("weights", "precision", ""), ("context", "context", ",d"), ("layers", "layers", "d"),
    ("cycles", "cycles", ",d"), ("must", "must", ",d"), ("aim", "aim", ",d"), ("", "reached", ""),
    ("at least", "bound_cycles", ",d"), ("set by", "bound_by", ""), ("RRAM cycles", "rram_cycles", ",.0f"),
    ("compile s", "compile_seconds", ".1f"), ("MiB", "peak_mib", ",d"),
)  # fmt: skip
ACCURACY: tuple[Column, ...] = (
    ("prompt", "prompt", ""), ("top 5 equal", "top_5_equal", ""), ("cosine", "cosine", ".6f"),
    ("greedy tokens equal", "greedy_equal", "d"), ("of", "greedy", "d"), ("same cycles", "same_cycles", ""),
    ("s a token", "seconds_per_token", ".2f"),
)  # fmt: skip


def measure(model: Model, args: argparse.Namespace) -> tuple[list[Row], dict[str, Compiled]]:
    """Rows of the compiled programs, and these by name."""
    chip = load_chip(args.chip)
    whole = args.layers in (None, model.constants["LAYERS"])
    constants = dict(model.constants) | ({} if args.layers is None else {"LAYERS": args.layers})
    rows: list[Row] = []
    programs: dict[str, Compiled] = {}
    for name, count in (("decode", 1), ("prefill", BUCKET))[: 2 if args.prefill else 1]:
        beside = programs["decode"].program if programs else None
        found = compiled(
            model.weights, constants | {"FIRST": int(count > 1)}, chip, args.precision, args.context, count, beside
        )
        facts = found.program.facts
        must, aim = BOUNDS.get((name, args.context), (None, None)) if whole and args.precision == "i8f16" else (None, None)
        words = sum(op.rep for op in found.program.operations if chip.slots[op.slot].unit.kind == "rram")
        rows.append(
            {"program": name, "precision": args.precision, "context": args.context, "layers": constants["LAYERS"],
             "cycles": facts["predicted_cycles"], "must": must, "aim": aim,
             "reached": mark(facts["predicted_cycles"], must, aim, least=False), "bound_cycles": facts["bound_cycles"],
             "bound_by": facts["bound_by"], "rram_cycles": words / len(chip.slices("rram")),
             "compile_seconds": found.seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
        )  # fmt: skip
        programs[name] = found
    return rows, programs


def on_a_device(programs: dict[str, Compiled]) -> Generator:
    prefill = programs["prefill"].program if "prefill" in programs else None
    return Generator(programs["decode"].program, prefill, first_only=True)


def verify(model: Model, programs: dict[str, Compiled], chip: Chip) -> dict[str, float]:
    """A prefill call, if there is one, and decode calls on one device: cycles as predicted, and every bit of the logits, of all
    keys and of all values as the reference evaluation has them. Raises PromiseFault."""
    tokens = TokenizerOf(model).encode(TEXT)[: BUCKET + VERIFIED_TOKENS]
    sizes = [("prefill", BUCKET)] * ("prefill" in programs) + [("decode", 1)] * VERIFIED_TOKENS
    device = on_a_device(programs).device
    states: dict[str, np.ndarray] = {}
    first, seconds = 0, {"evaluate_seconds": 0.0, "simulate_seconds": 0.0}
    for name, count in sizes:
        given = {"token": np.array(tokens[first : first + count], np.int32),
                 "position": first + np.arange(count, dtype=np.int32), "last": np.array([count - 1], np.int32)}  # fmt: skip
        begun = time.perf_counter()
        found = device.run(given, program=programs[name].program)
        seconds["simulate_seconds"] += time.perf_counter() - begun
        begun = time.perf_counter()
        expected = evaluate(programs[name].declared, given, programs[name].weights, chip, states)
        seconds["evaluate_seconds"] += time.perf_counter() - begun
        states, first = expected.states, first + count
        if found.cycles != programs[name].program.facts["predicted_cycles"]:
            raise PromiseFault(
                f"{name}: {found.cycles} cycles, predicted were {programs[name].program.facts['predicted_cycles']}"
            )
        held = {state: device.read(state) for state in states}
        if problem := difference(expected.outputs, found.outputs) or difference(states, held):
            raise PromiseFault(f"{name} from position {first - count}: {problem}")
    return {"calls": len(sizes), **seconds}


def fresh(generator: Generator) -> Generator:
    """The same device from position 0: what it holds of later positions is written again before it is read."""
    generator.position = 0
    return generator


def accuracy(model: Model, generator: Generator) -> list[Row]:
    tokenizer, rows = TokenizerOf(model), []
    for prompt in PROMPTS:
        tokens = tokenizer.encode(prompt)
        reference = Llama(model.weights)
        expected = reference(tokens)[-1]
        logits = fresh(generator).prompt(tokens)
        wanted, after = [], expected
        for _ in range(GREEDY):
            wanted.append(int(after.argmax()))
            after = reference([wanted[-1]])[-1]
        begun, calls = time.perf_counter(), len(generator.spent.decode_cycles)
        found = list(fresh(generator).continuation(tokens, GREEDY, Sampling(), 0, set()))
        cosine = float(logits @ expected / np.linalg.norm(logits) / np.linalg.norm(expected))
        equal = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b), GREEDY)
        rows.append(
            {"prompt": prompt[:32], "top_5_equal": set(np.argsort(-logits)[:5]) == set(np.argsort(-expected)[:5]),
             "cosine": cosine, "greedy_equal": equal, "greedy": GREEDY,
             "same_cycles": len(set(generator.spent.decode_cycles[calls:])) == 1,
             "seconds_per_token": (time.perf_counter() - begun) / (GREEDY + len(tokens) - 1)}
        )  # fmt: skip
    return rows


def perplexity(model: Model, args: argparse.Namespace) -> dict[str, float]:
    """Of a text, on the chip and in f32. The chip takes it as one bucket and gives the logits of half of its rows a call."""
    tokens = TokenizerOf(model).encode(TEXT)[: PERPLEXITY_TOKENS + 1]
    wanted = (len(tokens) - 1) // 2
    count = 2 * wanted
    tokens = tokens[: count + 1]
    constants = dict(model.constants) | {"FIRST": 1, "WANTED": wanted}
    constants |= {} if args.layers is None else {"LAYERS": args.layers}
    device = Device(compiled(model.weights, constants, load_chip(args.chip), args.precision, count, count).program)
    position = np.arange(count, dtype=np.int32)
    calls = [{"token": np.array(tokens[:-1], np.int32), "position": position, "last": rows.astype(np.int32)}
             for rows in position.reshape(2, wanted)]  # fmt: skip
    found = np.concatenate([device.run(given).outputs["logits"] for given in calls])
    expected = Llama(model.weights)(tokens[:-1])

    def of(logits: np.ndarray) -> float:
        wide = logits.astype(np.float64)
        wide -= wide.max(-1, keepdims=True)
        chosen = wide[np.arange(len(wide)), tokens[1:]] - np.log(np.exp(wide).sum(-1))
        return float(np.exp(-chosen.mean()))

    return {"tokens": count, "chip": of(found), "f32": of(expected), "ratio": of(found) / of(expected)}


def main() -> None:
    parser = arguments_of(__doc__ or "")
    parser.add_argument("model", type=Path, help="a Llama-type GGUF file, such as SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--layers", type=positive)
    parser.add_argument("--precision", choices=("i8f16", "f16"), default="i8f16")
    parser.add_argument("--context", type=positive, default=512)
    parser.add_argument("--prefill", action="store_true", help=f"also a prompt of {BUCKET} tokens at once")
    parser.add_argument(
        "--verify", action="store_true", help="run the programs and compare every bit with the reference evaluation"
    )
    parser.add_argument("--accuracy", action="store_true", help="run prompts and compare with f32 (minutes)")
    parser.add_argument("--perplexity", action="store_true", help=f"of {PERPLEXITY_TOKENS} tokens of a text (minutes)")
    parser.add_argument("--chip", default="lpu-rram")
    args = parser.parse_args()
    model = read_gguf_model(args.model)
    rows, programs = measure(model, args)
    verified = verify(model, programs, load_chip(args.chip)) if args.verify else None
    compared = accuracy(model, on_a_device(programs)) if args.accuracy else []
    text = perplexity(model, args) if args.perplexity else None
    if args.json:
        print_json("llm", rows, verified=verified, accuracy=compared, perplexity=text)
        return
    print_table(f"{model.name} on {args.chip}", TABLE, rows)
    if verified:
        took = f"simulated in {verified['simulate_seconds']:.1f} s, evaluated in {verified['evaluate_seconds']:.1f} s"
        print(f"\nverified: {verified['calls']} calls, cycles as predicted, bits as the reference evaluation has them; {took}")
    if compared:
        print_table("Against NumPy f32", ACCURACY, compared)
    if text:
        print(f"\nperplexity of {text['tokens']} tokens: chip {text['chip']:.3f}, f32 {text['f32']:.3f}: {text['ratio']:.4f}")


if __name__ == "__main__":
    run_or_explain(main)
