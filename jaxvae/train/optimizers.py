"""Optax optimisers, schedules, clipping, EMA, skipping and cadence by plain arguments."""

import functools
import inspect
import math
from collections.abc import Callable

import optax

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import FRACTION, NOT_NEGATIVE, UNIT
from jaxvae.train.transforms import average, every_nth, skip_above

# Ranges of options of any optimiser or schedule; Optax checks none.
RANGES = {
    **dict.fromkeys(("b1", "b2", "b3", "decay", "momentum"), FRACTION),
    **dict.fromkeys(("eps", "eps_root", "initial_scale", "threshold", "weight_decay"), NOT_NEGATIVE),
    "final_fraction": UNIT,
}
# Types of options whose default is None.
TYPES = {"momentum": float, "mu_dtype": str, "accumulator_dtype": str}


def _plain(builder: Callable) -> Callable:
    """Give `builder` the signature that a config can set, and refuse numbers out of RANGES with a UserError."""

    @functools.wraps(builder)
    def checked(*args, **options):
        for name, value in options.items():
            if name in RANGES and isinstance(value, (int, float)) and not RANGES[name].fits(value):
                raise UserError(f"The optimizer's option {name} is {value}; it must be {RANGES[name].allowed}.")
        return builder(*args, **options)

    signature = inspect.signature(builder)
    # without the mask, a function or a tree of booleans
    said = [p.replace(annotation=TYPES.get(p.name, p.annotation)) for p in signature.parameters.values()
            if p.name != "mask"]  # fmt: skip
    checked.__signature__ = signature.replace(parameters=said)  # pyright: ignore[reportAttributeAccessIssue]
    return checked


OPTIMIZERS = {
    name: _plain(getattr(optax, name))
    for name in ("adam", "adamw", "adamax", "nadam", "radam", "lion", "rmsprop", "sgd")
}


def constant(peak: float, total_steps: int) -> optax.Schedule:
    """Keep the learning rate constant."""
    del total_steps
    return optax.constant_schedule(peak)


@_plain
def cosine(peak: float, total_steps: int, final_fraction: float = 0.0) -> optax.Schedule:
    """Follow half a cosine from `peak` to `final_fraction * peak` (arXiv:1608.03983, equation 5, without restarts).

    Args:
      peak: the first learning rate.
      total_steps: length of the curve.
      final_fraction: the last learning rate as a share of the first, from 0 to 1.
    """
    return optax.cosine_decay_schedule(peak, max(total_steps, 1), final_fraction)


@_plain
def linear(peak: float, total_steps: int, final_fraction: float = 0.0) -> optax.Schedule:
    """Follow a straight line from `peak` to `final_fraction * peak`.

    Args:
      peak: the first learning rate.
      total_steps: length of the line.
      final_fraction: the last learning rate as a share of the first, from 0 to 1.
    """
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
    every: int = 1,
) -> optax.GradientTransformation:
    """Build the optimiser of one group of parameters, with its schedule; see `groups.by_group` for several.

    Args:
      update: an optax optimiser as a function of the learning rate, `optax.adam` for example.
      schedule: `(peak, total_steps) -> optax.Schedule`, one of this module's.
      learning_rate: the peak.
      total_steps: steps of the whole run, warm-up included.
      warmup_steps: updates of a linear rise from 0.
      clip_norm: above 0, the largest global norm of a gradient; larger ones are scaled down.
      ema_decay: above 0, the decay of an EMA of the parameters, see `transforms.average`.
      skip_norm: above 0, updates whose gradient has a larger global norm, before clipping, are skipped, see
        `transforms.skip_above`.
      every: update at every n-th step only, see `transforms.every_nth`; the schedule counts these updates.

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
    if every < 1:
        raise UserError(f"optimizer.every is {every}; it must be 1 (an update at each step) or more.")
    updates = total_steps // every
    if not 0 <= warmup_steps <= updates:
        unit = "steps" if every == 1 else f"updates, one at every {every} steps"
        raise UserError(f"optimizer.warmup_steps is {warmup_steps}; it must be from 0 to the run's {updates} {unit}.")
    rate = schedule(learning_rate, updates - warmup_steps)
    if warmup_steps:
        rate = optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup_steps), rate], [warmup_steps])
    optimizer = update(learning_rate=rate)
    optimizer = optax.chain(optax.clip_by_global_norm(clip_norm), optimizer) if clip_norm else optimizer
    optimizer = average(optimizer, ema_decay) if ema_decay else optimizer
    optimizer = skip_above(optimizer, skip_norm) if skip_norm else optimizer
    return every_nth(optimizer, every) if every > 1 else optimizer
