"""One function an ONNX operator, in files by kind. Importing this package fills the table `TRANSLATORS`."""

from compiler.frontend.onnx.registry import TRANSLATORS
from compiler.frontend.onnx.translators import math, movement, normalisation, products, quantisation

MODULES = (math, movement, normalisation, products, quantisation)

__all__ = ["MODULES", "TRANSLATORS"]
