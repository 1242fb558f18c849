"""ONNX models to the graph dialect. `docs/onnx.md` says what is supported.

`load` reads a file, `simplify` makes it static, `importer` runs one translator an operator (`translators/`, by kind) that
builds graph operations with `emitter`.
"""

from compiler.frontend.onnx.importer import Imported, import_onnx

__all__ = ["Imported", "import_onnx"]
