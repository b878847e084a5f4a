"""Work after training that may fail without ending the run: a note instead of a stack trace."""

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from jaxvae.common.errors import UserError, first_line

Result = TypeVar("Result")
TRACES = "errors.log"


class Failure(NamedTuple):
    """One piece of work that failed.

    Attributes:
      name: of the work, "figures/samples" for example.
      reason: one line for the user.
      trace: the stack trace; "" where a part refused with a UserError, which explains itself.
    """

    name: str
    reason: str
    trace: str = ""

    @property
    def note(self) -> str:
        """One line for `results.json`, the page and the terminal."""
        return f"{self.name} was left out: {self.reason}"


def attempt(name: str, failures: list[Failure], function: Callable[[], Result]) -> Result | None:
    """Return `function()`, or None where it raises: then `failures` gets one more.

    Every `Exception` is caught, of memory and of the disk too: what comes after may need less of both. A signal
    (KeyboardInterrupt) is not.
    """
    try:
        return function()
    except UserError as error:
        failures.append(Failure(name, str(error)))
    except Exception as error:  # of any type: a part of one's own can raise whatever it likes
        reason = f"{type(error).__name__}: {first_line(error)} (stack trace in {TRACES})."
        failures.append(Failure(name, reason, "".join(traceback.format_exception(error))))
    return None


def write_traces(workdir: Path, failures: Sequence[Failure]) -> None:
    """Write the stack traces of `failures` to `errors.log`; remove an older one where there are none."""
    traces = [f"{failure.name}\n{failure.trace}" for failure in failures if failure.trace]
    path = workdir / TRACES
    path.unlink(missing_ok=True)
    if traces:
        path.write_text("\n".join(traces), encoding="utf-8")
