"""Optax optimisers, schedules and clipping by plain arguments."""

import functools
import inspect
import math
from collections.abc import Callable

import optax

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import FRACTION, NOT_NEGATIVE, UNIT
from jaxvae.train.transforms import average, skip_above

# Which numbers make sense, whatever optimiser or schedule the option belongs to; Optax takes any.
RANGES = {
    **dict.fromkeys(("b1", "b2", "b3", "decay", "momentum"), FRACTION),
    **dict.fromkeys(("eps", "eps_root", "initial_scale", "threshold", "weight_decay"), NOT_NEGATIVE),
    "final_fraction": UNIT,
}
# Those that a default of None does not tell.
TYPES = {"momentum": float, "mu_dtype": str, "accumulator_dtype": str}


def _plain(builder: Callable) -> Callable:
    """`builder` with the options that a config can say; it refuses numbers out of RANGES with a UserError."""

    @functools.wraps(builder)
    def checked(*args, **options):
        for name, value in options.items():
            if name in RANGES and isinstance(value, (int, float)) and not RANGES[name].fits(value):
                raise UserError(f"The optimizer's option {name} is {value}; it must be {RANGES[name].allowed}.")
        return builder(*args, **options)

    signature = inspect.signature(builder)
    # not the mask, a function or a tree of booleans
    said = [p.replace(annotation=TYPES.get(p.name, p.annotation)) for p in signature.parameters.values()
            if p.name != "mask"]  # fmt: skip
    checked.__signature__ = signature.replace(parameters=said)  # pyright: ignore[reportAttributeAccessIssue]
    return checked


OPTIMIZERS = {
    name: _plain(getattr(optax, name))
    for name in ("adam", "adamw", "adamax", "nadam", "radam", "lion", "rmsprop", "sgd")
}


def constant(peak: float, total_steps: int) -> optax.Schedule:
    """The learning rate as given, always."""
    del total_steps
    return optax.constant_schedule(peak)


@_plain
def cosine(peak: float, total_steps: int, final_fraction: float = 0.0) -> optax.Schedule:
    """Half a cosine from `peak` to `final_fraction * peak` (arXiv:1608.03983, equation 5, without restarts)."""
    return optax.cosine_decay_schedule(peak, max(total_steps, 1), final_fraction)


@_plain
def linear(peak: float, total_steps: int, final_fraction: float = 0.0) -> optax.Schedule:
    """A straight line from `peak` to `final_fraction * peak`."""
    return optax.linear_schedule(peak, peak * final_fraction, max(total_steps, 1))


SCHEDULES = {"constant": constant, "cosine": cosine, "linear": linear}


def make_optimizer(
    update: Callable[..., optax.GradientTransformation],
    schedule: Callable[[float, int], optax.Schedule],
    *,
    learning_rate: float,
    total_steps: int,
    warmup_steps: int = 0,
    clip_norm: float = 0.0,
    ema_decay: float = 0.0,
    skip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """An optimiser with its schedule.

    Args:
      update: an optax optimiser as a function of the learning rate, `optax.adam` for example.
      schedule: `(peak, total_steps) -> optax.Schedule`, one of this module's.
      learning_rate: the peak.
      total_steps: steps in the whole run, warm-up included.
      warmup_steps: steps of a linear rise from 0.
      clip_norm: where above 0, gradients are scaled down to this global norm.
      ema_decay: where above 0, a moving average of the parameters is kept, see `updates.average`.
      skip_norm: where above 0, an update whose gradient is above this global norm, before any clipping, is skipped, see
        `updates.skip_above`.

    Raises:
      UserError: a value out of its range.
    """
    if not 0 < learning_rate < math.inf:
        raise UserError(f"optimizer.learning_rate is {learning_rate}; it must be a finite number above 0.")
    if not 0 <= clip_norm < math.inf:
        raise UserError(f"optimizer.clip_norm is {clip_norm}; it must be 0 (no clipping) or above.")
    if not 0 <= ema_decay < 1:
        raise UserError(f"optimizer.ema_decay is {ema_decay}; it must be 0 (no average) or more, and below 1.")
    if not 0 <= skip_norm < math.inf:
        raise UserError(f"optimizer.skip_norm is {skip_norm}; it must be 0 (no update is skipped) or above.")
    if not 0 <= warmup_steps <= total_steps:
        raise UserError(
            f"optimizer.warmup_steps is {warmup_steps}; it must be from 0 to the run's {total_steps} steps."
        )
    rate = schedule(learning_rate, total_steps - warmup_steps)
    if warmup_steps:
        rate = optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup_steps), rate], [warmup_steps])
    optimizer = update(learning_rate=rate)
    optimizer = optax.chain(optax.clip_by_global_norm(clip_norm), optimizer) if clip_norm else optimizer
    optimizer = average(optimizer, ema_decay) if ema_decay else optimizer
    return skip_above(optimizer, skip_norm) if skip_norm else optimizer
