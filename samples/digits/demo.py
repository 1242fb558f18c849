"""Recognise the 360 held-out digits on the simulated chip: compile, run, compare every byte, show some of the images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compiler.cli.measures import describe_cycles, describe_use, write_json
from compiler.cli.progress import following, working
from compiler.cli.report import program_report
from compiler.session import Compiled, Result, compile_file, performance, run_and_compare
from isa.chip import load_chip
from isa.container import save_program
from isa.disasm import write_assembly
from isa.errors import ToolchainError

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
CHIP = "lpu-rram"
SIDE = 8
PIXEL_MAX = 16
HELD_OUT_EVERY = 5
SHOWN = 5
"""Images in a row of pictures."""


def held_out() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Images [360, 64] and labels [360] that train.py did not train on."""
    with np.load(HERE / "digits.npz") as data:
        return data["images"][::HELD_OUT_EVERY], data["labels"][::HELD_OUT_EVERY]


def picture(image: NDArray[np.int8], shades: str) -> list[str]:
    """The lines of an image, two characters a pixel."""
    steps = np.minimum(image.reshape(SIDE, SIDE).astype(int) * len(shades) // (PIXEL_MAX + 1), len(shades) - 1)
    return ["".join(shades[step] * 2 for step in row) for row in steps]


def show(images: NDArray[np.int8], titles: Sequence[str]) -> None:
    """Images side by side, each under its title."""
    shades = " ░▒▓█" if "utf" in (sys.stdout.encoding or "").lower() else " .:*#"
    width = 2 * SIDE + 2
    print("  " + "".join(title.ljust(width) for title in titles))
    for line in zip(*(picture(image, shades) for image in images), strict=True):
        print("  " + "".join(part.ljust(width) for part in line))
    print()


def write_files(compiled: Compiled, last: Result) -> list[Path]:
    """Program, assembly and report in build/."""
    BUILD.mkdir(exist_ok=True)
    program, report = BUILD / "digits.lbin", BUILD / "digits.report.json"
    save_program(compiled.program, program)
    text = write_assembly(compiled.program, BUILD / "digits.lasm")[0]
    values = performance(compiled.program, last) | {"compile_seconds": compiled.seconds}
    write_json(report, values | program_report(compiled.program))
    return [program, text, report]


def main() -> None:
    images, labels = held_out()
    with following("compiling"):
        compiled = compile_file(HERE / "digits.lks", load_chip(CHIP))
    with working(f"running {len(images)} images"):
        results = run_and_compare(compiled, [{"x": image[None]} for image in images], ["fast"])
    files = write_files(compiled, results[-1])
    predictions = np.array([result.outputs["logits"].argmax() for result in results])
    right = predictions == labels

    print(f"\nHandwritten digits on the simulated {CHIP}\n")
    examples = np.array([np.flatnonzero(right & (labels == digit))[0] for digit in range(10)])
    for chosen in np.split(examples, 10 // SHOWN):
        show(images[chosen], [f"read as {predictions[i]}" for i in chosen])
    if not right.all():
        chosen = np.flatnonzero(~right)[:SHOWN]
        show(images[chosen], [f"{labels[i]} misread as {predictions[i]}" for i in chosen])
    values = performance(compiled.program, results[-1])
    compared = sum(array.nbytes for result in results for array in result.outputs.values())
    print(f"accuracy    {right.sum()} of {len(labels)} held-out images = {right.mean():.2%}")
    print(f"an image    {describe_cycles(values)}")
    print(f"            {describe_use(values)}")
    print(
        f"exact       {compared:,} output bytes equal the reference; every run took the {values['cycles']:,} cycles predicted"
    )
    for name, path in zip(("program", "assembly", "report"), files, strict=True):
        print(f"{name:11} {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    try:
        main()
    except ToolchainError as error:
        sys.exit(error.render())
