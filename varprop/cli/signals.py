"""Ctrl-C, ``kill`` and a closed terminal all end a command in the same way: unwound, with one line and a code.

A signal that arrives during an import waits until the import is over, unless it comes twice: modules written in
C turn an interruption into errors of other kinds, and Python itself reports those that it cannot raise.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_IMPORT_AGAIN = 0.05  # seconds until a signal that waits for an import looks again
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ending:
    """What has been received; its handler raises KeyboardInterrupt, which everything unwinds on.

    Attributes
    ----------
    received : int or None
        The first signal that asked to end.
    """

    def __init__(self, outermost: FrameType | None = None) -> None:
        self.received: int | None = None
        self._outermost = outermost

    @property
    def code(self) -> int:
        """Exit code, as a shell gives it for a process that a signal has ended: 130 for Ctrl-C, 143 for ``kill``."""
        return 128 + (self.received or signal.SIGINT)

    def __str__(self) -> str:
        """Say it in a word, with the signal unless that is Ctrl-C."""
        number = self.received or signal.SIGINT
        return "stopped" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"

    @contextlib.contextmanager
    def told_apart(self) -> Iterator[None]:
        """Take whatever fails after a signal for its consequence."""
        try:
            yield
        except Exception as error:
            if self.received is None:
                raise
            raise KeyboardInterrupt from error

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, now or as soon as no import is under way."""
        again = self.received is not None and number in _ENDING
        if number in _ENDING:
            self.received = self.received or number
        if not again and hasattr(signal, "setitimer") and self._is_importing(frame):
            signal.setitimer(signal.ITIMER_REAL, _IMPORT_AGAIN)
            return
        raise KeyboardInterrupt

    def _is_importing(self, frame: FrameType | None) -> bool:
        while frame is not None and frame is not self._outermost:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return True
            frame = frame.f_back
        return False


@contextlib.contextmanager
def ending_in_one_line(outermost: FrameType | None, *, for_good: bool) -> Iterator[Ending]:
    """Handle the signals that end a command; frames up to `outermost` do not count as an import of ours.

    With `for_good`, the process is about to end: a signal that comes while Python shuts down just ends it.
    """
    ending = Ending(outermost)
    if threading.current_thread() is not threading.main_thread():  # handlers are the main thread's
        yield ending
        return
    alarm = [signal.SIGALRM] if hasattr(signal, "SIGALRM") else []
    # What is ignored stays so: a shell's background jobs ignore Ctrl-C, and nohup a closed terminal.
    numbers = [n for n in _ENDING + alarm if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, ending.handle) for number in numbers}
    try:
        yield ending
    finally:
        if alarm:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if for_good else handler)
