"""What a tensor name of an ONNX model stands for while it is translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from compiler.frontend.values import TensorValue
from isa.errors import ModelFault

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor: known now (`array`, in the ONNX element type) or when the program runs (`chip`, see `element_types`).

    `kind` is the ONNX element type by its NumPy name. Empty tensors (an extent of 0) are always known. Who wants `chip` asks
    the emitter's `tensor` for it, which sees to the order of its axes.
    """

    kind: str
    shape: tuple[int, ...]
    array: Array | None = None
    chip: TensorValue | None = None
    name: str = ""
    """What a parameter made of it is called."""
    axes: tuple[int, ...] | None = None
    """How `chip` lies, where that is not the order of `shape`: which axis of the tensor each of its axes is; axes that are
    left out have size 1. Convolutions give [height, width, channels] of the one image that they compute."""

    @property
    def known(self) -> bool:
        return self.array is not None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.kind in ("float16", "float32", "float64")

    def __str__(self) -> str:
        return f"{self.kind}[{', '.join(map(str, self.shape))}]"

    def require_known(self, what: str) -> Array:
        """The array. Raises ModelFault, `what` being its part in the node."""
        if self.array is None:
            raise ModelFault(
                f"{what} is computed when the program runs; it must be known at compile time",
                hint="make it a constant or an initializer of the model",
            )
        return self.array
