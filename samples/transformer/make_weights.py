"""Write block.npz: seeded random weights of one transformer block, at the scale that a trained one has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTH, MLP_WIDTH = 64, 256


def weights(seed: int = 7) -> dict[str, np.ndarray]:
    """Arrays by key, in the types and shapes that block.lks declares."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float16)

    def norm() -> np.ndarray:
        return np.stack([1 + 0.1 * rng.standard_normal(WIDTH), 0.1 * rng.standard_normal(WIDTH)]).astype(np.float32)

    return {
        "w_qkv": matrix(WIDTH, 3 * WIDTH),
        "w_out": matrix(WIDTH, WIDTH),
        "w_up": matrix(WIDTH, MLP_WIDTH),
        "w_down": matrix(MLP_WIDTH, WIDTH),
        "b_up": (0.1 * rng.standard_normal(MLP_WIDTH)).astype(np.float32),
        "b_down": (0.1 * rng.standard_normal(WIDTH)).astype(np.float32),
        "norm0": norm(),
        "norm1": norm(),
    }


if __name__ == "__main__":
    np.savez(Path(__file__).with_name("block.npz"), **weights())
