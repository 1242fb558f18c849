"""Assembly text to programs. The language is in `docs/isa.md`; the normal form is what `isa/disasm.py` writes.

A text is lines. Directives (`isa/asm_directives.py`) may stand anywhere after `.chip`; operations
(`isa/asm_operations.py`) follow `@cycle`, joined by `|`. Labels may be used before their `.data`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isa.asm_directives import Directives
from isa.asm_operations import OperationParser
from isa.asm_text import Line, Token
from isa.chip import Chip
from isa.errors import DataFault, Location, SyntaxFault
from isa.form import CYCLE_BITS
from isa.program import Image, Operation, Program

MAX_FAULTS = 20


class _Faults:
    """The faults of a text so far."""

    def __init__(self) -> None:
        self.found: list[SyntaxFault] = []

    def attempt(self, work: Callable[[], None]) -> None:
        """Do one line's work; keep its fault and go on, up to MAX_FAULTS."""
        try:
            work()
        except SyntaxFault as fault:
            self.found.append(fault)
            if len(self.found) >= MAX_FAULTS:
                self.report()

    def report(self) -> None:
        """Raise the faults, if any, as one: the first, with the others as notes."""
        if self.found:
            first, *others = self.found
            notes = tuple(f"{fault.location}: {fault.message}" for fault in others)
            raise SyntaxFault(first.message, first.location, notes=notes, hint=first.hint)


class _Operations:
    """The operations of a text so far, by cycle."""

    def __init__(self, file: str, parser: OperationParser) -> None:
        self.file = file
        self.parser = parser
        self.cycle = -1
        self.after_bar: Line | None = None
        """The line that ended with '|', while its operation is still to come."""
        self._lines_of_slots: dict[str, int] = {}
        self._parsed: list[tuple[int, int, Operation]] = []

    def read(self, number: int, text: str) -> None:
        """Take in one line of operations. Raises SyntaxFault."""
        line = Line(self.file, number, text)
        after_bar, self.after_bar = self.after_bar, None
        if after_bar is not None and line.found("@", "|"):
            line.fault("an operation after '|'")
        if line.found("@"):
            self._next_cycle(line)
        elif line.found("|") and self.cycle >= 0:
            line.advance()
        elif after_bar is None:
            line.fault("a directive, '@' and a cycle, or '|' and an operation" if self.cycle >= 0 else "'@' and a cycle")
        self._read_operation(line)
        while line.found("|"):
            line.advance()
            if line.token.kind == "end":
                self.after_bar = line
                return
            self._read_operation(line)

    def _read_operation(self, line: Line) -> None:
        place = line.token
        slot, op = self.parser.parse(line, self.cycle)
        if slot.name in self._lines_of_slots:
            first = self._lines_of_slots[slot.name]
            line.wrong(f"slot {slot.name} is used twice in cycle {self.cycle}, first in line {first}", place)
        self._lines_of_slots[slot.name] = line.number
        self._parsed.append((op.cycle, slot.index, op))

    def _next_cycle(self, line: Line) -> None:
        line.advance()
        place = line.token
        cycle = line.integer("a cycle", 0, (1 << CYCLE_BITS) - 1)
        if cycle <= self.cycle:
            hint = "join the operations of a cycle with '|'" if cycle == self.cycle else ""
            line.wrong(f"cycle {cycle} does not come after cycle {self.cycle}", place, hint)
        self.cycle = cycle
        self._lines_of_slots = {}

    def finish(self) -> None:
        """Raises SyntaxFault if a '|' still waits for its operation."""
        if self.after_bar is not None:
            self.after_bar.fault("an operation after '|'", Token("end", "", len(self.after_bar.text) + 1))

    def ordered(self) -> list[Operation]:
        return [op for _, _, op in sorted(self._parsed, key=lambda item: item[:2])]


def _read_directives(text: str, directives: Directives, faults: _Faults) -> list[tuple[int, str]]:
    """Take in directives and data; return the other lines, for when all labels are known."""
    others: list[tuple[int, str]] = []
    for number, raw in enumerate(text.split("\n"), 1):
        content = raw.rstrip("\r")
        start = content.lstrip(" \t")[:1]
        if start in ("", ";"):
            continue
        if start == ".":
            faults.attempt(directives.finish_data)
            faults.attempt(lambda n=number, t=content: directives.read(Line(directives.file, n, t)))
            if directives.chip is None:
                faults.report()
        elif directives.wants_words and start not in "@|":
            faults.attempt(lambda n=number, t=content: directives.read_word(n, t))
        else:
            others.append((number, content))
    faults.attempt(directives.finish_data)
    return others


def assemble(text: str, file: str, chip: Chip | None = None) -> Program:
    """The program of a text. `file` is for messages and for the place of side files.

    The text's `.chip` must describe the given chip; without a given chip it must be there. Raises SyntaxFault with up to
    MAX_FAULTS faults (the first, the others as notes) and ChipFault for a chip file that is not one.
    """
    faults = _Faults()
    directives = Directives(file, chip)
    others = _read_directives(text, directives, faults)
    if directives.chip is None:
        raise SyntaxFault("expected '.chip' and a chip, found none", Location(file, 1, 1, text.split("\n")[0].rstrip("\r")))
    labels: dict[str, list[Image]] = {}
    for image in directives.images:
        labels.setdefault(image.name, []).append(image)
    parser = OperationParser(directives.chip, labels, directives.labels_at_fault, len(directives.origins))
    operations = _Operations(file, parser)
    for number, content in others:
        faults.attempt(lambda n=number, t=content: operations.read(n, t))
    faults.attempt(operations.finish)
    faults.report()
    return Program(
        directives.chip,
        operations.ordered(),
        directives.images,
        directives.symbols,
        directives.origins,
        directives.facts,
    )


def read_assembly(path: str | Path, chip: Chip | None = None) -> Program:
    """The program of an assembly file. Raises DataFault if it cannot be read, else as `assemble`."""
    try:
        text = Path(path).read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataFault(f"cannot read the assembly file: {reason}", Location(str(path))) from None
    return assemble(text, str(path), chip)
