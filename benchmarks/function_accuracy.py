"""Error of the vector unit's functions in units in the last place of float32.

The yardstick is the host's float64 function, whose own error (at most a few 2^-53) is below 1e-8 ulp of float32. Samples
are float32 of every magnitude together with evenly spread ones where the function is neither 0, 1 nor infinite.

    python benchmarks/function_accuracy.py [--count N] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isa import numerics

F32 = NDArray[np.float32]

FUNCTIONS: dict[str, tuple[str, Callable[[float], float], float, float]] = {
    "exp": ("fexp", lambda x: math.exp(x) if x < 709 else math.inf, -104.0, 89.0),
    "log": ("flog", math.log, 1e-3, 8.0),
    "sqrt": ("fsqrt", math.sqrt, 1e-3, 8.0),
    "rsqrt": ("frsqrt", lambda x: 1.0 / math.sqrt(x), 1e-3, 8.0),
    "recip": ("frecip", lambda x: 1.0 / x, -8.0, 8.0),
    "tanh": ("ftanh", math.tanh, -9.1, 9.1),
    "erf": ("ferf", math.erf, -4.0, 4.0),
    "sin": ("fsin", math.sin, -20.0, 20.0),
    "cos": ("fcos", math.cos, -20.0, 20.0),
    "atan": ("fatan", math.atan, -8.0, 8.0),
}
"""Name: row of the instruction table, yardstick, range that the even samples spread over."""

SEED = 20240607


def samples(count: int, low: float, high: float) -> F32:
    """`count` finite float32 other than 0: half of them of every magnitude, half evenly spread over low … high."""
    rng = np.random.default_rng(SEED)
    exponents, fractions = rng.integers(0, 255, count // 2), rng.integers(1, 1 << 23, count // 2)
    signs = rng.integers(0, 2, count // 2) if low < 0 else np.zeros(count // 2, np.int64)
    patterns = ((signs << 31) | (exponents << 23) | fractions).astype(np.uint32)
    spread = rng.uniform(low, high, count - count // 2).astype(np.float32)
    return np.concatenate([patterns.view(np.float32), spread[spread != 0]])


def measure(name: str, count: int) -> dict[str, float]:
    """Largest and mean error of a function in ulp, the worst argument, and the share of correctly rounded results."""
    mnemonic, yardstick, low, high = FUNCTIONS[name]
    x = samples(count, low, high)
    y = numerics.apply(mnemonic, [x])
    exact = np.array([yardstick(v) for v in x.tolist()])
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float32)
    finite = np.isfinite(nearest)
    if not np.array_equal(y[~finite], nearest[~finite]):
        raise SystemExit(f"{name}: a result is finite where it must overflow")
    x, y, exact, nearest = x[finite], y[finite], exact[finite], nearest[finite]
    error = np.abs(y.astype(np.float64) - exact) / np.spacing(np.abs(nearest)).astype(np.float64)
    worst = int(error.argmax())
    return {
        "samples": len(x),
        "max_ulp": float(error[worst]),
        "mean_ulp": float(error.mean()),
        "worst_at": float(x[worst]),
        "correctly_rounded": float(np.mean(y == nearest)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Error of the vector unit's functions, in ulp of float32.")
    parser.add_argument("--count", type=int, default=1_000_000, help="samples a function (default 1000000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.count < 2:
        parser.error("--count must be at least 2")
    table = {name: measure(name, arguments.count) for name in FUNCTIONS}
    if arguments.json:
        print(json.dumps(table, indent=2))
        return
    print(f"{'function':<9}{'samples':>9}{'max ulp':>12}{'mean ulp':>10}{'correctly rounded':>19}  worst at")
    for name, row in table.items():
        print(
            f"{name:<9}{row['samples']:>9}{row['max_ulp']:>12.7f}{row['mean_ulp']:>10.4f}"
            f"{row['correctly_rounded'] * 100:>17.4f} %  {row['worst_at']:.9g}"
        )


if __name__ == "__main__":
    main()
