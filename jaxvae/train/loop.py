"""Training loop."""

import math
from collections.abc import Callable

import numpy as np

from jaxvae.common.errors import NonFiniteLoss
from jaxvae.train.state import TrainState


def fit(
    state: TrainState,
    run: Callable,
    *,
    first_step: int,
    steps_per_epoch: int,
    num_epochs: int,
    steps_per_call: int,
    eval_every_epochs: int,
    on_steps: Callable[[int, dict[str, np.ndarray]], None],
    on_epoch: Callable[[TrainState, int], bool | None],
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[TrainState, int]:
    """Train to the end; return the last state and its step.

    Calls end at multiples of `steps_per_call` within an epoch for any first step, so that a resumed run makes the
    same calls. The metrics of one call are read while the devices run the next.

    Args:
      state: placed on the devices; donated.
      run: `make_trainer`'s function.
      first_step: the number of steps that `state` has done.
      steps_per_epoch: steps in one pass over the data.
      num_epochs: passes over the data.
      steps_per_call: steps in one call of the devices.
      eval_every_epochs: how often `on_epoch` is called; always at the end.
      on_steps: callback after each call, `(last_step, metrics [n])` on the host.
      on_epoch: callback after an epoch that is due, `(state, step)`; True ends the loop.
      should_stop: asked after each call; True ends the loop.

    Raises:
      NonFiniteLoss: a loss was NaN or infinite; raised before any later state reaches `on_epoch`.
    """
    step, last = first_step, num_epochs * steps_per_epoch
    pending = None

    def read():
        nonlocal pending
        if pending is not None:
            end, metrics = pending
            pending = None
            metrics = {name: np.asarray(value) for name, value in metrics.items()}
            check_finite(end, metrics["loss"])
            on_steps(end, metrics)

    while step < last:
        offset = step % steps_per_epoch
        num = min(steps_per_call - offset % steps_per_call, steps_per_epoch - offset)
        state, metrics = run(state, step, num)
        step += num
        read()
        pending = (step, metrics)
        stop = should_stop()
        epoch, offset = divmod(step, steps_per_epoch)
        due = offset == 0 and (epoch % eval_every_epochs == 0 or step == last)
        if due or stop:
            read()
        if due:
            stop = on_epoch(state, step) or stop
        if stop:
            break
    return state, step


def check_finite(end: int, loss: np.ndarray) -> None:
    """Raise NonFiniteLoss with the first bad step of a call that ended at step `end`."""
    bad = np.flatnonzero(~np.isfinite(loss))
    if bad.size:
        step = end - len(loss) + int(bad[0]) + 1
        value = loss[bad[0]]
        raise NonFiniteLoss(
            f"The loss became {'NaN' if math.isnan(value) else value} at step {step}. Try a smaller "
            "optimizer.learning_rate or optimizer.clip_norm=1, and look for extreme values in the data."
        )
