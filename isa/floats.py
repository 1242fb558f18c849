"""The one NaN that Lockstep knows.

Hosts differ in the sign and payload of the NaNs that they make, so every float result passes through here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CANONICAL_NAN_F32 = 0x7FC00000
CANONICAL_NAN_F16 = 0x7E00

NAN_F32 = np.array(CANONICAL_NAN_F32, np.uint32).view(np.float32)
NAN_F16 = np.array(CANONICAL_NAN_F16, np.uint16).view(np.float16)


def canonical(y: NDArray[Any]) -> NDArray[Any]:
    """`y` (float32 or float16) with every NaN made canonical, in place. The caller owns `y`."""
    bad = np.isnan(y)
    if bad.any():
        y[bad] = NAN_F16 if y.dtype == np.float16 else NAN_F32
    return y
