"""Stop a run on SIGTERM or SIGINT between two device calls, with the state saved."""

import signal
import threading

import jax
import numpy as np
from jax.experimental import multihost_utils


class Stopped(KeyboardInterrupt):
    """A signal ended the run early; its state is saved. `status` is the shell's exit status for that signal."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.status = 128 + number


class Signals:
    """Catch SIGTERM and SIGINT during a run, so that it can save its state and end between two device calls."""

    def __enter__(self):
        self.number = 0
        # Python allows handlers in the main thread alone.
        numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
        self._before = {n: signal.signal(n, self._note) for n in numbers}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def name(self) -> str:
        """Return the name of the signal, SIGTERM or SIGINT."""
        return signal.Signals(self.number).name

    def received_by_any(self) -> bool:
        """Return whether any process of the run got a signal; the answer is the same in all at the same step."""
        if jax.process_count() == 1:
            return self.number > 0
        seen = int(multihost_utils.process_allgather(np.int32(self.number)).max())
        if seen:  # else unchanged: the next gather sees a signal that came during this one
            self.number = seen
        return seen > 0

    def _note(self, number, _):
        self.number = number
