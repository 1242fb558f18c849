"""One function an ONNX operator, in files by kind. Importing this package fills the table `TRANSLATORS`."""

from compiler.frontend.onnx.registry import TRANSLATORS
from compiler.frontend.onnx.translators import (
    axis_order,
    convolution,
    functions,
    indexing,
    logic,
    math,
    movement,
    normalisation,
    padding,
    powers,
    products,
    quantisation,
    reductions,
    scatter,
    slicing,
)

MODULES = (
    axis_order,
    convolution,
    functions,
    indexing,
    logic,
    math,
    movement,
    normalisation,
    padding,
    powers,
    products,
    quantisation,
    reductions,
    scatter,
    slicing,
)

__all__ = ["MODULES", "TRANSLATORS"]
