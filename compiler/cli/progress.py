"""Progress on stderr: only on a terminal, and only for work that has already taken a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TypeVar

PATIENCE_SECONDS = 1.0
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


def tracked(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """The items, with a bar beside the loop that goes through them."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
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
