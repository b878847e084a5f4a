"""jaxvae: variational autoencoders as a choice of pure functions.

Names are loaded on first use, so that `from jaxvae import losses` costs no more than JAX itself.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxvae import data, evaluate, likelihoods, losses, networks, objectives, optimizers, posteriors, priors, train
    from jaxvae.errors import UserError
    from jaxvae.model import Model, make_model, reconstruct, reparameterize, sample
    from jaxvae.objectives import Objective
    from jaxvae.platform import avoid_wrong_sums
    from jaxvae.workdir import restore

__version__ = "0.1.0"
__all__ = [
    "Model", "Objective", "UserError", "avoid_wrong_sums", "data", "evaluate", "likelihoods", "losses", "make_model",
    "networks", "objectives", "optimizers", "posteriors", "priors", "reconstruct", "reparameterize", "restore",
    "sample", "train",
]  # fmt: skip

_HOME = {
    "Model": "model", "make_model": "model", "reconstruct": "model", "reparameterize": "model", "sample": "model",
    "Objective": "objectives", "avoid_wrong_sums": "platform", "UserError": "errors", "restore": "workdir",
}  # fmt: skip


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'jaxvae' has no attribute '{name}'")
    module = importlib.import_module(f"jaxvae.{_HOME.get(name, name)}")
    return getattr(module, name) if name in _HOME else module
