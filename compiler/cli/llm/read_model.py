"""A model from a GGUF file (`gguf_model`) or from a folder with Hugging Face's files (`hugging_face_model`)."""

from __future__ import annotations

from pathlib import Path

from compiler.cli.llm.gguf_model import read_gguf_model
from compiler.cli.llm.hugging_face_model import read_folder
from compiler.cli.llm.model import Model
from compiler.frontend.safetensors_file import INDEX
from isa.errors import DataFault


def read_model(path: Path) -> Model:
    """The model of a GGUF file, a folder, or a safetensors file in such a folder. Raises DataFault for anything else."""
    if not path.exists():
        raise DataFault(
            f"'{path}' does not exist; a model is a .gguf file or a folder with config.json and model.safetensors",
            hint="samples/smollm2/README.md says where to get one",
        )
    if path.is_dir():
        return read_folder(path)
    return read_folder(path.parent, path) if path.name.endswith((".safetensors", INDEX)) else read_gguf_model(path)
