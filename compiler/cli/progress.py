"""Progress on stderr: only on a terminal, and only for work that has already taken a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

PATIENCE_SECONDS = 1.0
REFRESH_SECONDS = 0.1
Item = TypeVar("Item")


@contextmanager
def working(label: str) -> Generator[None]:
    """A spinner beside work of unknown length."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True).status(label)
    timer = Timer(PATIENCE_SECONDS, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()


@contextmanager
def following(label: str) -> Generator[Callable[[str], None]]:
    """A bar that follows work which tells its stages (`compiler.progress`). What is yielded puts another label before them."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import TimeElapsedColumn

    from compiler.progress import heard_by

    bar = _bar(TimeElapsedColumn())
    task = bar.add_task(label, total=None)

    def relabel(text: str) -> None:
        nonlocal label
        label = text
        bar.update(task, description=text, completed=0, total=None)

    shown_at = 0.0

    def listener(stage: str, done: int, steps: int) -> None:
        nonlocal shown_at
        if done and time.monotonic() - shown_at < REFRESH_SECONDS:
            return
        shown_at = time.monotonic()
        bar.update(task, description=f"{label}: {stage}", completed=done, total=steps or None)

    timer = Timer(PATIENCE_SECONDS, bar.start)
    timer.start()
    try:
        with heard_by(listener):
            yield relabel
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _bar(time_column: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), time_column)
    return Progress(*columns, console=Console(stderr=True), transient=True)


def tracked(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """The items, with a bar beside the loop that goes through them."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import TimeRemainingColumn

    bar = _bar(TimeRemainingColumn())
    task = bar.add_task(label, total=total)
    begun = time.monotonic()
    try:
        for done, item in enumerate(items):
            if not bar.live.is_started and time.monotonic() - begun > PATIENCE_SECONDS:
                bar.start()
            bar.update(task, completed=done)
            yield item
    finally:
        bar.stop()
