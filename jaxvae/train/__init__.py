"""The train state, the pure step, optimisers, the one loop, and how devices run it."""

from jaxvae.train.optimizers import make_optimizer
from jaxvae.train.step import TrainState, init_state, make_step, make_trainer, streams

__all__ = ["TrainState", "init_state", "make_optimizer", "make_step", "make_trainer", "streams"]
