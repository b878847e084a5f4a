"""Turn failures after training into notes, without ending the run."""

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from jaxvae.common.errors import UserError, first_line

Result = TypeVar("Result")
TRACES = "errors.log"


class Failure(NamedTuple):
    """A failed attempt.

    Attributes:
      name: what was attempted, "figures/samples" for example.
      reason: one line for the user.
      trace: the stack trace; "" for a UserError, which explains itself.
    """

    name: str
    reason: str
    trace: str = ""

    @property
    def note(self) -> str:
        """Return one line for `results.json`, the page and the terminal."""
        return f"{self.name} was left out: {self.reason}"


def attempt(name: str, failures: list[Failure], function: Callable[[], Result]) -> Result | None:
    """Return `function()`; where it raises, add to `failures` and return None.

    Every `Exception` is caught, also when memory or disk space runs out, since later work may need less of both. A
    signal (KeyboardInterrupt) is not caught.
    """
    try:
        return function()
    except UserError as error:
        failures.append(Failure(name, str(error)))
    except Exception as error:  # a user's part can raise any type
        reason = f"{type(error).__name__}: {first_line(error)} (stack trace in {TRACES})."
        failures.append(Failure(name, reason, "".join(traceback.format_exception(error))))
    return None


def write_traces(workdir: Path, failures: Sequence[Failure]) -> None:
    """Write the stack traces of `failures` to `errors.log`; without any, only remove an older file."""
    traces = [f"{failure.name}\n{failure.trace}" for failure in failures if failure.trace]
    path = workdir / TRACES
    path.unlink(missing_ok=True)
    if traces:
        path.write_text("\n".join(traces), encoding="utf-8")
