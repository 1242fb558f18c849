"""Photos in, what they show and the cycles out: EfficientNet-Lite0 on the simulated chip.

python samples/photo/run.py                       # two photos of scikit-image, int8
python samples/photo/run.py cat.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from files import labels, model_file, photos, pixels, samples  # noqa: E402

from compiler.cli.main import describe  # noqa: E402
from compiler.cli.progress import following, tracked  # noqa: E402
from compiler.session import Session  # noqa: E402
from isa.errors import DataFault, ToolchainError  # noqa: E402

BEST = 5
Array = NDArray[Any]


def show(photo: Path, logits: Array, names: list[str], wanted: Array | None) -> None:
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    print(photo.name)
    for number in np.argsort(-logits, kind="stable")[:BEST]:
        print(f"  {shares[number]:6.1%}  {number:4d}  {names[number]}")
    if wanted is not None:
        cosine = logits @ wanted / (np.linalg.norm(logits) * np.linalg.norm(wanted))
        same = "the same" if wanted.argmax() == logits.argmax() else f"another, {wanted.argmax()}"
        print(f"  onnxruntime in f32: {same} at the top; cosine of the logits {cosine:.5f}")


def reference(path: Path, image: Array) -> Array | None:
    """The logits by onnxruntime in f32, where it is installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options).run(None, {"image": image})[0][0]


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--precision", type=click.Choice(["int8", "f16", "i8f16", "f32"]), default="int8", show_default=True)
@click.option("--chip", default="lpu-rram", show_default=True)
def main(files: tuple[Path, ...], precision: Any, chip: str) -> None:
    """Say what the photos FILES show; without any, what two photos of scikit-image do."""
    try:
        shown = list(files) or photos()
        images, path, names = [pixels(photo) for photo in shown], model_file(), labels()
        calibration = samples() if precision == "int8" else None
        with following("compiling"):
            session = Session(path, chip, precision=precision, samples=calibration, calibration="minmax")
        found = [session.run(None, {"image": image})[0][0] for image in tracked(images, len(images), "running")]
    except (ToolchainError, ImportError) as error:
        if isinstance(error, ImportError):
            error = DataFault(f"this sample needs the package '{error.name}'", hint="pip install 'lockstep-lpu[onnx,plot]'")
        message, status = describe(error)
        print(message, file=sys.stderr)
        sys.exit(status)
    for photo, image, logits in zip(shown, images, found, strict=True):
        show(photo, logits, names, reference(path, image))
    facts, clock = session.program.facts, session.program.chip.clock_ghz
    print(
        f"{session.cycles:,} cycles a photo = {session.cycles / clock * 1e-3:,.1f} us at {clock:g} GHz; "
        f"at least {facts['bound_cycles']:,} ({facts['bound_by']})"
    )


if __name__ == "__main__":
    main()
