"""`lockstep-opt`: any passes over IR text, for tests and for looking inside.

Exit 0: good. 1: the text, a pass or its options are at fault, with one message. 2: wrong usage.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import IO, ClassVar

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError
from xdsl.xdsl_opt_main import xDSLOptMain

from compiler.context import LockstepContext
from compiler.frontend.parameters import ParameterFiles
from compiler.pass_pipeline import parse_passes
from compiler.passes import DIALECTS, PASSES
from isa.atomic_file import write_whole
from isa.chip import load_chip
from isa.errors import DataFault, Location, SyntaxFault, ToolchainError


class _Whole(StringIO):
    """A file that is written when it is closed, unless an error is on its way."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def close(self) -> None:
        if not self.closed and sys.exc_info()[0] is None:
            write_whole(self.path, self.getvalue().encode())
        super().close()


class LockstepOptMain(xDSLOptMain):
    """xDSL's driver with the dialects and passes of Lockstep, a chip and weights."""

    version_format: ClassVar[str] = "lockstep-opt on xdsl {xdsl_version}"

    def __init__(self, args: Sequence[str] | None = None) -> None:
        super().__init__("Run passes over IR text.", args)
        chip = load_chip(self.args.chip) if self.args.chip else None
        context = LockstepContext(chip=chip)
        context.__dict__.update(self.ctx.__dict__)
        self.ctx = context
        for path in self.args.weights:
            _load_weights(path, context)

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(arg_parser)
        arg_parser.prog = "lockstep opt" if arg_parser.prog == "lockstep" else arg_parser.prog
        arg_parser.epilog = f"Passes of Lockstep: {', '.join(PASSES)}. The others are those of xDSL."
        arg_parser.add_argument("--chip", help="preset or TOML file, for passes that need a chip")
        arg_parser.add_argument(
            "--weights",
            action="append",
            default=[],
            metavar="FILE",
            help=".npz, .npy or .safetensors file with arrays that digests stand for, under any names; may be given again",
        )

    def register_all_dialects(self) -> None:
        super().register_all_dialects()
        for name, factory in DIALECTS.items():
            self.ctx.register_dialect(name, factory)

    def register_all_passes(self) -> None:
        super().register_all_passes()
        for name, factory in PASSES.items():
            self.register_pass(name, factory)

    def setup_pipeline(self) -> None:
        parse_passes(self.args.passes, self.available_passes)  # says what is wrong as `lockstep compile --passes` does
        super().setup_pipeline()

    def prepare_input(self) -> tuple[list[tuple[IO[bytes], int]], str]:
        try:
            return super().prepare_input()
        except ValueError as error:
            raise SyntaxFault(f"{error}", Location(self.get_input_name()), hint="IR text is in a file named *.mlir") from None

    def prepare_output(self) -> IO[str]:
        return _Whole(self.args.output_file) if self.args.output_file else super().prepare_output()

    def parse_chunk(self, chunk: IO[bytes], file_extension: str, start_offset: int = 0) -> ModuleOp | None:
        data = chunk.read()
        _require_closed_strings(data.decode(errors="replace"), self.get_input_name())
        try:
            return super().parse_chunk(BytesIO(data), file_extension, start_offset)
        except (ParseError, DiagnosticException):
            raise
        except Exception as error:
            # xDSL's parser lets errors of attribute constructors (a number out of range, bytes of a wrong length) through.
            raise SyntaxFault(f"this is not IR text: {error}", Location(self.get_input_name())) from error


_QUOTES = re.compile(r'//[^\n]*|"(?:[^"\\\n\v\f]|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*"|(?P<open>")')
"""Comments, strings, and quotes that begin no string."""


def _require_closed_strings(text: str, file: str) -> None:
    """xDSL's lexer takes time exponential in the length of a string that does not end or has a wrong escape."""
    for found in _QUOTES.finditer(text):
        if found["open"]:
            begin = text.rfind("\n", 0, found.start()) + 1
            line, column = text.count("\n", 0, begin) + 1, found.start() - begin + 1
            place = Location(file, line, column, text[begin:].split("\n", 1)[0])
            raise SyntaxFault("this string does not end on its line, or has a wrong escape", place)


def _load_weights(path: str, context: LockstepContext) -> None:
    try:
        with ParameterFiles(Path()) as files:
            for array in files.read_all(path):
                context.weights.add(array)
    except DataFault as fault:
        raise DataFault(f"--weights: {fault.message}", notes=fault.notes) from None


def describe(error: BaseException) -> str:
    """One message without the printed module that xDSL attaches to verification errors, but with the operation at fault."""
    if isinstance(error, ToolchainError):
        return error.render()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: error: {error.strerror}" if error.filename else f"error: {error.strerror}"
    text = str(error).strip()
    place = [line for note in getattr(error, "__notes__", ()) for line in _marked(note)]
    return "\n".join([text if text.startswith("error") else f"error: {text}", *place])


def _marked(note: str) -> list[str]:
    """The line above the first carets of an excerpt."""
    lines = note.splitlines()
    carets = [i for i, line in enumerate(lines) if "^^" in line]
    return [f"note: {lines[carets[0] - 1].strip()}"] if carets and carets[0] else []


def main(args: Sequence[str] | None = None) -> None:
    """Run, and turn every fault of the input into one message and exit status 1."""
    try:
        tool = LockstepOptMain(args)
    except (ArgSpecParseError, ValueError, ToolchainError) as error:
        # xDSL reports a pass or an option that does not exist as a ValueError.
        sys.exit(describe(error))
    try:
        tool.run()
    except (ArgSpecParseError, DiagnosticException, ParseError, ToolchainError, OSError) as error:
        sys.exit(describe(error))
