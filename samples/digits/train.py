"""Train the digits network and write what digits.lks reads: weights.npz (and digits.npz, once, from scikit-learn).

    python samples/digits/train.py            # weights.npz from digits.npz; needs NumPy alone
    python samples/digits/train.py --extract  # digits.npz anew; needs scikit-learn

Every fifth image (360 of 1,797) is held out: nothing looks at it before the accuracy is printed. Training is in float32,
the network written is int8; every random number comes from one seed.
"""

from __future__ import annotations

import argparse
import io
import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
SIDE = 8
HELD_OUT_EVERY = 5
WIDTHS = (SIDE * SIDE, 128, 64, 10)
SEED = 20240
EPOCHS = 300
BATCH = 128
WEIGHT_DECAY = 2e-3
AVERAGE = 0.998
PIXEL_MAX = 16

Floats = NDArray[np.float32]
Layer = tuple[Floats, Floats]


@dataclass(frozen=True)
class QuantisedLayer:
    """i8 weights [K, N], i32 biases [N] in units of the sum, and the f32 factor [N] that takes a sum to the next i8 step."""

    weights: NDArray[np.int8]
    biases: NDArray[np.int32]
    scales: Floats


def extract() -> None:
    """digits.npz: `images` int8 [1797, 64] with values 0 … 16, `labels` int8 [1797]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = data.data.astype(np.int8), data.target.astype(np.int8)
    save_arrays(HERE / "digits.npz", {"images": images, "labels": labels})


def save_arrays(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """An .npz whose bytes depend on the arrays alone: `numpy.savez` would store the time of day."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue(), zipfile.ZIP_DEFLATED)


def distorted(images: Floats, random: np.random.Generator) -> Floats:
    """Each image turned, sheared, stretched and moved a little. [n, 64] to [n, 64], bilinear, zero outside."""
    n = len(images)
    angle, shear = random.normal(0, 0.13, n), random.normal(0, 0.12, n)
    stretch = 1 + random.normal(0, 0.08, (2, n))
    shift = random.normal(0, 0.45, (2, n))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos * stretch[0], (shear - sin) * stretch[0]], [sin * stretch[1], cos * stretch[1]]])
    centre = (SIDE - 1) / 2
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")).reshape(2, -1) - centre
    rows, columns = np.einsum("ijn,jp->inp", matrix, grid) + shift[:, :, None] + centre + 1
    padded = np.zeros((n, SIDE + 2, SIDE + 2), np.float32)
    padded[:, 1:-1, 1:-1] = images.reshape(n, SIDE, SIDE)
    rows, columns = np.clip(rows, 0, SIDE + 0.999), np.clip(columns, 0, SIDE + 0.999)
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = rows - r, columns - c
    which = np.arange(n)[:, None]
    above = padded[which, r, c] * (1 - fc) + padded[which, r, c + 1] * fc
    below = padded[which, r + 1, c] * (1 - fc) + padded[which, r + 1, c + 1] * fc
    return (above * (1 - fr) + below * fr).astype(np.float32)


def forward(layers: list[Layer], x: Floats) -> list[Floats]:
    """Input of every layer, and last the logits."""
    values = [x]
    for i, (weights, biases) in enumerate(layers):
        y = values[-1] @ weights + biases
        values.append(np.maximum(y, 0) if i < len(layers) - 1 else y)
    return values


def gradients(layers: list[Layer], x: Floats, labels: NDArray[np.int8]) -> Iterator[tuple[int, Layer]]:
    """Gradients of the mean cross entropy (with 5 % label smoothing), last layer first."""
    values = forward(layers, x)
    logits = values[-1] - values[-1].max(axis=1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = logits.shape[1]
    wanted = np.full_like(logits, 0.05 / classes)
    wanted[np.arange(len(x)), labels] += 0.95
    delta = (probabilities - wanted) / len(x)
    for i in reversed(range(len(layers))):
        yield i, (values[i].T @ delta, delta.sum(axis=0))
        delta = (delta @ layers[i][0].T) * (values[i] > 0)


def train(images: Floats, labels: NDArray[np.int8]) -> list[Layer]:
    """AdamW with a cosine step size over distorted images; the running average of the weights is the result."""
    random = np.random.default_rng(SEED)
    layers: list[list[Floats]] = []
    for fan_in, fan_out in itertools.pairwise(WIDTHS):
        weights = random.normal(0, np.sqrt(2 / fan_in), (fan_in, fan_out)).astype(np.float32)
        layers.append([weights, np.zeros(fan_out, np.float32)])
    average = [[a.copy() for a in layer] for layer in layers]
    moments = [[(np.zeros_like(a), np.zeros_like(a)) for a in layer] for layer in layers]
    steps = EPOCHS * -(-len(images) // BATCH)
    step = 0
    for _ in range(EPOCHS):
        order = random.permutation(len(images))
        inputs = distorted(images, random)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            step += 1
            rate = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
            for i, found in list(gradients([(w, b) for w, b in layers], inputs[chosen], labels[chosen])):
                for j, gradient in enumerate(found):
                    first, second = moments[i][j]
                    first += 0.1 * (gradient - first)
                    second += 0.001 * (gradient**2 - second)
                    move = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
                    layers[i][j] -= np.float32(rate) * (move + WEIGHT_DECAY * layers[i][j])
                    average[i][j] += np.float32(1 - AVERAGE) * (layers[i][j] - average[i][j])
    return [(w, b) for w, b in average]


def quantise(layers: list[Layer], images: Floats) -> list[QuantisedLayer]:
    """Symmetric int8: a weight scale a column, an activation scale a tensor (from the largest values on `images`)."""
    values = forward(layers, images)
    step = 1 / PIXEL_MAX
    result: list[QuantisedLayer] = []
    for i, (weights, biases) in enumerate(layers):
        weight_steps = np.abs(weights).max(axis=0) / 127
        last = i == len(layers) - 1
        next_step = 1.0 if last else float(np.quantile(values[i + 1].max(axis=1), 0.999)) / 127
        result.append(
            QuantisedLayer(
                np.rint(weights / weight_steps).astype(np.int8),
                np.rint(biases / (weight_steps * step)).astype(np.int32),
                (weight_steps * step / next_step).astype(np.float32),
            )
        )
        step = next_step
    return result


def infer(layers: list[QuantisedLayer], pixels: NDArray[np.int8]) -> Floats:
    """The logits of digits.lks, bit for bit: int8 in, int32 sums, float32 scaling, rounding to nearest even, saturation."""
    x = pixels
    for layer in layers[:-1]:
        sums = x.astype(np.int32) @ layer.weights.astype(np.int32) + layer.biases
        x = np.clip(np.rint(sums.astype(np.float32) * layer.scales), -128, 127).astype(np.int8)
        x = np.maximum(x, np.int8(0))
    sums = x.astype(np.int32) @ layers[-1].weights.astype(np.int32) + layers[-1].biases
    return sums.astype(np.float32) * layers[-1].scales


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extract", action="store_true", help="write digits.npz anew from scikit-learn first")
    if parser.parse_args().extract:
        extract()
    with np.load(HERE / "digits.npz") as data:
        pixels, labels = data["images"], data["labels"]
    images = pixels.astype(np.float32) / PIXEL_MAX
    held_out = np.arange(len(labels)) % HELD_OUT_EVERY == 0
    layers = train(images[~held_out], labels[~held_out])
    quantised = quantise(layers, images[~held_out])
    arrays: dict[str, NDArray[np.generic]] = {}
    for i, layer in enumerate(quantised, 1):
        arrays |= {f"w{i}": layer.weights, f"b{i}": layer.biases, f"s{i}": layer.scales}
    save_arrays(HERE / "weights.npz", arrays)
    for name, part in (("training", ~held_out), ("held-out", held_out)):
        exact = (forward(layers, images[part])[-1].argmax(axis=1) == labels[part]).mean()
        integer = (infer(quantised, pixels[part]).argmax(axis=1) == labels[part]).mean()
        print(f"{name:9} images: {exact:.2%} right in float, {integer:.2%} in int8")


if __name__ == "__main__":
    main()
