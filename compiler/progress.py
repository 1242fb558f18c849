"""How far a long piece of work is: it tells its stages and their steps to whoever listens, and needs nobody to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
"""Is called with the name of a stage, the steps that are done, and their number; 0 where that is not known."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Generator[None]:
    """What is told inside goes to this listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def stage(name: str, steps: int = 0) -> Callable[[int], None]:
    """A stage begins. The result is to be called with the number of steps after each time that some are done."""
    listener = _listener.get()
    if listener is None:
        return _nobody
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        listener(name, done, steps)

    advance(0)
    return advance


def _nobody(count: int) -> None:
    pass
