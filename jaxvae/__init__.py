"""jaxvae: variational autoencoders as a choice of pure functions.

Names are loaded on first use, so that `from jaxvae import losses` costs no more than JAX itself.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxvae import data, likelihoods, losses, metrics, models, networks, objectives, posteriors, priors, train
    from jaxvae.api.fitting import fit
    from jaxvae.api.loading import load
    from jaxvae.api.probabilistic import as_numpyro
    from jaxvae.api.run import Run
    from jaxvae.common.errors import UserError
    from jaxvae.common.platform import avoid_wrong_sums
    from jaxvae.models import Model, given, make_model, reconstruct, reparameterize, sample
    from jaxvae.objectives import Objective
    from jaxvae.runs.restore import restore

__version__ = "0.1.0"
__all__ = [
    "Model", "Objective", "Run", "UserError", "as_numpyro", "avoid_wrong_sums", "data", "fit", "given", "likelihoods",
    "load", "losses", "make_model", "metrics", "models", "networks", "objectives", "posteriors", "priors",
    "reconstruct", "reparameterize", "restore", "sample", "train",
]  # fmt: skip

_HOME = {
    **dict.fromkeys(("Model", "given", "make_model", "reconstruct", "reparameterize", "sample"), "models"),
    "Objective": "objectives", "UserError": "common.errors", "avoid_wrong_sums": "common.platform",
    "restore": "runs.restore", "fit": "api.fitting", "Run": "api.run", "load": "api.loading",
    "as_numpyro": "api.probabilistic",
}  # fmt: skip


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'jaxvae' has no attribute '{name}'")
    module = importlib.import_module(f"jaxvae.{_HOME.get(name, name)}")
    return getattr(module, name) if name in _HOME else module
