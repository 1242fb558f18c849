"""One function an ONNX operator, in files by kind. Importing this package fills the table `TRANSLATORS`."""

# ruff: noqa: F401 (modules are imported for what they register)
# pyright: reportUnusedImport=false

from compiler.frontend.onnx.registry import TRANSLATORS
from compiler.frontend.onnx.translators import (
    attention,
    axis_order,
    convolution,
    convolution_by_products,
    einsum,
    functions,
    indexing,
    inference,
    logic,
    losses,
    math,
    movement,
    normalisation,
    padding,
    pooling,
    powers,
    products,
    quantisation,
    recurrent,
    reductions,
    resize,
    scatter,
    slicing,
    spectral,
)

__all__ = ["TRANSLATORS"]
