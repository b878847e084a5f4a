"""Train: the state, the pure step, optimisers, the loop, and its placement on devices."""

from jaxvae.train.fitting import Fitted, fit
from jaxvae.train.groups import by_group
from jaxvae.train.optimizers import make_optimizer
from jaxvae.train.state import TrainState, init_state, stream, streams
from jaxvae.train.step import make_step
from jaxvae.train.trainer import make_many_steps, make_trainer

__all__ = [
    "Fitted",
    "TrainState",
    "by_group",
    "fit",
    "init_state",
    "make_many_steps",
    "make_optimizer",
    "make_step",
    "make_trainer",
    "stream",
    "streams",
]
