"""`lockstep generate`: text from a language model, every token computed on the simulated chip."""

from __future__ import annotations

import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from compiler.cli.llm.generator import Generator
    from sim.counters import Counters


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, help="The text to go on with; with --chat a message to answer.")
@click.option("--chat", is_flag=True, help="Put the prompt into the model's chat template.")
@click.option("--max-tokens", type=click.IntRange(1), default=64, show_default=True, help="Most tokens to produce.")
@click.option("--context", type=click.IntRange(2), default=512, show_default=True, help="Positions that the chip keeps.")
@click.option(
    "--bucket",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Tokens of the prompt at once; 1 does without a prefill program.",
)
@click.option("--precision", type=click.Choice(["i8f16", "f16"]), default="i8f16", show_default=True, help="Of the weights.")
@click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0 takes the likeliest token.")
@click.option("--top-k", type=click.IntRange(0), default=0, help="Draw from the likeliest so many; 0 from all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws.")
@click.option("--chip", default="lpu-rram", show_default=True, help="A name from `lockstep chip list` or a .toml file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
def generate(
    model: Path,
    prompt: str,
    chat: bool,
    max_tokens: int,
    context: int,
    bucket: int,
    precision: Literal["i8f16", "f16"],
    temperature: float,
    top_k: int,
    seed: int,
    chip: str,
    as_json: bool,
) -> None:
    """Produce text with a Llama-type model: weights in RRAM, keys and values in SRAM, token by token.

    MODEL is a GGUF file, or a folder with Hugging Face's config.json, model.safetensors (or its parts) and tokenizer.json.

    The decode program and the prefill program, which takes a bucket of the prompt at once, are compiled the first time and kept
    in the user's cache folder (LOCKSTEP_CACHE names another, or is off).

    \b
    lockstep generate model.gguf --prompt "The capital of France is"
    lockstep generate model.gguf --chat --prompt "What is the capital of France?" --max-tokens 32
    lockstep generate smollm2-folder --prompt "Once upon a time" --temperature 0.8 --top-k 40 --seed 7
    """
    from compiler.cli.llm.generator import Generator
    from compiler.cli.llm.programs import Wanted, programs
    from compiler.cli.llm.read_model import read_model
    from compiler.cli.llm.sampling import Sampling
    from compiler.cli.llm.tokenizer import TokenizerOf
    from compiler.cli.progress import following
    from isa.chip import load_chip
    from isa.errors import DataFault

    target, found = load_chip(chip), read_model(model)
    tokenizer = TokenizerOf(found)
    tokens = tokenizer.encode(tokenizer.chat(prompt) if chat else prompt)
    if not tokens:
        raise DataFault("the prompt is empty")
    if len(tokens) > context:
        hint = f"shorten it, or give --context {len(tokens) + max_tokens}"
        raise DataFault(f"the prompt has {len(tokens)} tokens, the context {context} positions", hint=hint)
    if found.context and context > found.context:
        raise DataFault(f"--context {context}: the model was trained for {found.context} positions")
    bucket = min(bucket, context)
    wanted = Wanted(found, target, precision, context, bucket, first_only=len(tokens) <= bucket)
    begun = time.perf_counter()
    with following("preparing") as say:
        decode, prefill = programs(wanted, say)
        say("preparing the device")
        generator = Generator(decode, prefill, first_only=wanted.first_only)
    prepared = time.perf_counter() - begun
    begun = time.perf_counter()
    produced: list[int] = []
    text = ""
    steps = generator.continuation(tokens, max_tokens, Sampling(temperature, top_k), seed, tokenizer.ends)
    with following("the prompt"):
        first = next(steps)
    for token in chain((first,), steps):
        produced.append(token)
        longer = tokenizer.decode(produced)
        if not as_json and not longer.endswith("\N{REPLACEMENT CHARACTER}"):
            click.echo(longer[len(text) :], nl=False)
            text = longer
    text = tokenizer.decode(produced)
    values = _measures(generator, target.clock_ghz, len(tokens), produced)
    values |= {"text": text, "prepare_seconds": prepared, "simulate_seconds": time.perf_counter() - begun}
    if as_json:
        from compiler.cli import measures

        measures.print_json(values)
        return
    click.echo("\n")
    for line in _lines(values):
        click.echo(line, err=True)


def _measures(generator: Generator, clock_ghz: float, prompt_tokens: int, produced: list[int]) -> dict[str, Any]:
    """What the chip took. A token's cycles are the same at every position."""
    spent = generator.spent
    cycles = spent.decode_cycles[0] if spent.decode_cycles else None
    counters: Counters | None = spent.last_decode.counters if spent.last_decode else None
    return {
        "prompt_tokens": prompt_tokens,
        "tokens": produced,
        "clock_ghz": clock_ghz,
        "prompt_cycles": spent.prompt_cycles,
        "time_to_first_token_us": spent.prompt_cycles / clock_ghz * 1e-3,
        "token_cycles": cycles,
        "token_us": cycles / clock_ghz * 1e-3 if cycles else None,
        "tokens_per_second": clock_ghz * 1e9 / cycles if cycles else None,
        "rram_bandwidth_utilisation": counters.rram_bandwidth_utilisation if counters else None,
    }


def _lines(values: dict[str, Any]) -> list[str]:
    lines = [
        f"prompt: {values['prompt_tokens']} tokens, first token after {values['prompt_cycles']:,} cycles = "
        f"{values['time_to_first_token_us']:,.1f} us at {values['clock_ghz']:g} GHz"
    ]
    if values["token_cycles"]:
        lines.append(
            f"then {values['token_cycles']:,} cycles = {values['token_us']:,.1f} us a token: "
            f"{values['tokens_per_second']:,.0f} tokens/s, {values['rram_bandwidth_utilisation']:.1%} of the RRAM's bandwidth"
        )
    count = len(values["tokens"])
    lines.append(
        f"{count} token{'s' if count > 1 else ''}; prepared in {values['prepare_seconds']:.1f} s, "
        f"simulated in {values['simulate_seconds']:.1f} s"
    )
    return lines
