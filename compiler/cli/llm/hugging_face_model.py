"""Llama-type models in a folder with Hugging Face's files: config.json, safetensors in one file or in parts, tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from compiler.cli.llm.model import Model, require_architecture
from compiler.frontend.safetensors_file import INDEX
from isa.errors import DataFault

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WEIGHTS = ("model.safetensors", f"model{INDEX}")
NUMBERS = {
    "LAYERS": "num_hidden_layers",
    "WIDTH": "hidden_size",
    "HEADS": "num_attention_heads",
    "HIDDEN": "intermediate_size",
    "EPS": "rms_norm_eps",
    "VOCABULARY": "vocab_size",
}
"""Constants of the decoder and the numbers of config.json that they are. Others have a default."""

THETA = 10000.0
"""What rotary embedding turns by where config.json says nothing, as in the `transformers` package."""

EXPECTED = {
    "hidden_act": ("silu", "swish"),
    "attention_bias": (False,),
    "mlp_bias": (False,),
}
"""What the decoder computes; another value in config.json asks for something else."""


class FolderWords:
    """tokenizer.json, tokenizer_config.json (or chat_template.jinja) and the numbers of config.json."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._folder, self._config = folder, config

    def tokenizer(self) -> Tokenizer:
        import tokenizers

        file = self._folder / "tokenizer.json"
        if not file.exists():
            raise DataFault(f"there is no {file.name} in '{self._folder}'", hint="it comes with the model, beside config.json")
        try:
            return tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the package raises plain Exception for a file that it cannot read
            raise DataFault(f"{file.name} in '{self._folder}' cannot be read: {error}") from None

    @property
    def first(self) -> list[int]:
        return self._tokens("bos_token_id") if self._settings().get("add_bos_token") else []

    @property
    def ends(self) -> set[int]:
        return set(self._tokens("eos_token_id"))

    @property
    def chat_template(self) -> str:
        own = self._folder / "chat_template.jinja"
        found = own.read_text(encoding="utf-8") if own.exists() else self._settings().get("chat_template")
        return found if isinstance(found, str) else ""

    def _settings(self) -> dict[str, Any]:
        file = self._folder / "tokenizer_config.json"
        return _json(file) if file.exists() else {}

    def _tokens(self, name: str) -> list[int]:
        found = self._config.get(name)
        return [int(token) for token in cast(list[Any], found if isinstance(found, list) else [found]) if token is not None]


def read_folder(folder: Path, weights: Path | None = None) -> Model:
    """The model of a folder, with its weights in this file. Raises DataFault where something is missing or not as expected."""
    if not (folder / "config.json").exists():
        raise DataFault(
            f"there is no config.json in '{folder}'",
            hint="a model is a .gguf file, or a folder with config.json, model.safetensors and tokenizer.json",
        )
    config = _json(folder / "config.json")
    weights = weights or next((folder / name for name in WEIGHTS if (folder / name).exists()), None)
    if weights is None:
        raise DataFault(f"there is no {' and no '.join(WEIGHTS)} in '{folder}'")
    parts = tuple(sorted(folder.glob("*.safetensors"))) if weights.name.endswith(INDEX) else ()
    context = _number(config, "max_position_embeddings", 0)
    words = FolderWords(folder, config)
    return Model(
        folder.resolve().name, weights, (folder / "config.json", weights, *parts), _constants(config), int(context), words
    )


def _constants(config: dict[str, Any]) -> dict[str, int | float]:
    require_architecture(config.get("model_type"), "config.json")
    for name, values in EXPECTED.items():
        if config.get(name, values[0]) not in values:
            raise DataFault(f"config.json says {name} = {json.dumps(config[name])}; the decoder computes {values[0]!r}")
    constants = {constant: _number(config, name) for constant, name in NUMBERS.items()}
    constants["KV_HEADS"] = _number(config, "num_key_value_heads", constants["HEADS"])
    constants["HEAD"] = _number(config, "head_dim", constants["WIDTH"] // constants["HEADS"])
    turning: Any = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if turning.get("rope_type", turning.get("type", "default")) != "default":
        raise DataFault("config.json scales its rotary embedding, which the decoder does not")
    constants["THETA"] = float(_number(turning, "rope_theta", _number(config, "rope_theta", THETA)))
    return constants


def _number(numbers: dict[str, Any], name: str, default: float | None = None) -> int | float:
    found = numbers.get(name)
    found = default if found is None else found
    if isinstance(found, bool) or not isinstance(found, int | float) or found < 0:
        raise DataFault(f"config.json must say {name}, a number; it says {json.dumps(found)}")
    return found


def _json(file: Path) -> dict[str, Any]:
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFault(f"{file.name} in '{file.parent}' cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise DataFault(f"{file.name} in '{file.parent}' is no JSON object")
    return cast(dict[str, Any], found)
