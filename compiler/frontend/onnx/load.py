"""An ONNX file to an onnx-ir model, with faults that say what is wrong with the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isa.errors import DataFault, Location, ModelFault

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

MIN_OPSET, MAX_OPSET = 7, 28
"""Operator sets of the default domain. Before 7 broadcasting was another; 28 is the newest of onnx 1.23."""


def require_extra() -> None:
    """Raises DataFault when the libraries of the extra `onnx` are missing."""
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import onnx_ir  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import onnxscript  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        hint = "install the extra: pip install 'lockstep-lpu[onnx]'"
        raise DataFault(f"reading ONNX models needs the package '{error.name}'", hint=hint) from None


def read_model(path: Path) -> onnx.ModelProto:
    """The model in a file, external data loaded. Raises DataFault for files that cannot be read, ModelFault for bad ones."""
    require_extra()
    import onnx
    from google.protobuf.message import DecodeError

    place = Location(str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataFault(f"cannot read the file: {error.strerror}", place) from None
    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError:
        raise ModelFault("this is not an ONNX model, or it is damaged or truncated", place) from None
    if not proto.HasField("graph") or not proto.opset_import:
        raise ModelFault("this is not an ONNX model: it has no graph or no operator set", place)
    _load_external(proto, path)
    return proto


def _load_external(proto: onnx.ModelProto, path: Path) -> None:
    from onnx.external_data_helper import load_external_data_for_model

    missing: list[str] = []
    for tensor in proto.graph.initializer:
        files = {entry.key: entry.value for entry in tensor.external_data}
        name = files.get("location", "")
        if tensor.data_location == tensor.EXTERNAL and not (name and (path.parent / name).is_file()):
            missing.append(f"tensor '{tensor.name}' lies in '{name}'")
    if missing:
        some = (*missing[:5], f"… and {len(missing) - 5} more") if len(missing) > 5 else tuple(missing)
        raise DataFault(
            f"{len(missing)} tensors lie in external files that are not there",
            Location(str(path)),
            notes=some,
            hint=f"put the files beside the model, in '{path.parent}'",
        )
    try:
        load_external_data_for_model(proto, str(path.parent))
    except Exception as error:
        raise DataFault(f"cannot read the external data: {_first_line(error)}", Location(str(path))) from None


def parse_model(proto: onnx.ModelProto, file: str) -> ir.Model:
    """The model as onnx-ir has it, after ONNX's own checker has passed it. Raises ModelFault."""
    import onnx
    import onnx_ir as ir

    place = Location(file)
    _check_versions(proto, place)
    shapeless = [value for value in proto.graph.output if not value.type.tensor_type.HasField("shape")]
    try:
        for value in shapeless:  # the checker wants one, every runtime does without
            value.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(proto)  # pyright: ignore[reportUnknownMemberType]
    except onnx.checker.ValidationError as error:
        raise ModelFault("the model breaks the rules of ONNX", place, notes=(_first_line(error),)) from None
    except Exception as error:
        raise ModelFault("the model cannot be checked", place, notes=(_first_line(error),)) from None
    finally:
        for value in shapeless:
            value.type.tensor_type.ClearField("shape")
    try:
        return ir.from_proto(proto)
    except Exception as error:
        raise ModelFault("the model cannot be read", place, notes=(_first_line(error),)) from None


def _check_versions(proto: onnx.ModelProto, place: Location) -> None:
    for opset in proto.opset_import:
        if opset.domain in ("", "ai.onnx") and not MIN_OPSET <= opset.version <= MAX_OPSET:
            raise ModelFault(
                f"the model uses operator set {opset.version}; {MIN_OPSET} to {MAX_OPSET} are understood",
                place,
                hint="onnx.version_converter.convert_version, or a new export, gives another one",
            )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{lines[0]:.300}" if lines else type(error).__name__
