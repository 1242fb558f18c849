"""The one error a user sees: what is wrong, where, what was expected, and what would help."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a text. `line` and `column` count from 1; `text` is the line itself, for the caret."""

    file: str
    line: int = 0
    column: int = 0
    text: str = ""

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class ToolchainError(Exception):
    """The user's program, data or files are at fault. The command line prints `render()` and exits 1."""

    def __init__(
        self,
        message: str,
        location: Location | None = None,
        *,
        notes: tuple[str, ...] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.notes = notes
        self.hint = hint

    def render(self) -> str:
        """The message as the command line prints it, without colour, ending without a newline."""
        place = f"{self.location}: " if self.location else ""
        lines = [f"{place}error: {self.message}"]
        if self.location and self.location.text:
            lines.append("  " + self.location.text)
            if self.location.column:
                lead = self.location.text[: self.location.column - 1]
                lines.append("  " + "".join("\t" if c == "\t" else " " for c in lead) + "^")
        lines += [f"note: {note}" for note in self.notes]
        if self.hint:
            lines.append(f"help: {self.hint}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()


class SyntaxFault(ToolchainError):
    """Text that does not follow its grammar (tensor language, assembly, IR)."""


class ChipFault(ToolchainError):
    """A chip description that is not one."""


class ProgramFileFault(ToolchainError):
    """A program file that is damaged, truncated, or from a newer Lockstep."""


class DeviceFault(ToolchainError):
    """A device file that is damaged, of another version or in use, or a device that cannot do what is asked of it."""


class ScheduleFault(ToolchainError):
    """A program that breaks a rule of its chip."""


class ModelFault(ToolchainError):
    """A model that is wrong in itself or cannot be placed on the chip."""


class DataFault(ToolchainError):
    """Inputs, parameters or outputs of the wrong name, shape, type or place."""


class PromiseFault(ToolchainError):
    """A fault of Lockstep itself: a program that is not, or does not do, what the compiler promised. Exit 70."""

    def __init__(self, message: str, location: Location | None = None, *, notes: tuple[str, ...] = ()) -> None:
        hint = "this is a fault of Lockstep, not of your program: please report it with the source"
        super().__init__(message, location, notes=notes, hint=hint)


class Trap(ToolchainError):
    """A rule of the chip broken while the program ran. The message names cycle, slot and operation."""
