"""A VAE as a scikit-learn transformer, for pipelines and grid searches."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxvae.api.fitting import fit
from jaxvae.api.run import Run
from jaxvae.data.load import from_arrays


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Transform rows to the means of their posteriors q(z|x).

    The last state is kept: no row is held out for validation.

    Attributes:
      run_: the trained `jaxvae.Run`.
      n_features_in_: number of columns.
      feature_names_in_: their names, where X has names.
    """

    def __init__(
        self,
        n_components: int = 2,
        config: str = "vae",
        likelihood: str = "gaussian",
        scaling: str = "standardize",
        num_epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        num_samples: int = 100,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = 0,
    ):
        """Keep the settings.

        Args:
          n_components: latent dimensions.
          config: name or file of a config, for the objective, the posterior, the networks and so on.
          likelihood: p(x|z), for data in the units of `scaling`.
          scaling: `data.scaling`: "none", "unit" or "standardize".
          num_epochs: passes over X.
          batch_size: rows of a batch, at most those of X; less where the devices cannot share them equally.
          learning_rate: the peak learning rate.
          num_samples: K of the log-likelihood of `score`.
          settings: further changes of the config, `{"kl.beta": 4.0}`.
          random_state: seed, or a `numpy.random.RandomState`; None for another one at each fit.
        """
        self.n_components, self.config, self.likelihood, self.scaling = n_components, config, likelihood, scaling
        self.num_epochs, self.batch_size, self.learning_rate = num_epochs, batch_size, learning_rate
        self.num_samples, self.settings, self.random_state = num_samples, settings, random_state

    def fit(self, X: Any, y: Any = None) -> "VAETransformer":  # noqa: N803
        """Train on X `[N, features]`; y is ignored.

        Raises:
          ValueError: X is not a finite matrix with at least two rows, or a setting does not fit (`jaxvae.UserError`).
        """
        del y
        X = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)  # noqa: N806
        seed = self.random_state if isinstance(self.random_state, int) else None
        if seed is None:
            seed = int(check_random_state(self.random_state).randint(2**31))
        batch_size = _shared(min(self.batch_size, len(X)), jax.device_count())
        fixed = {
            "model.latent_dim": self.n_components, "model.likelihood": self.likelihood, "data.scaling": self.scaling,
            "train.num_epochs": self.num_epochs, "train.eval_every_epochs": self.num_epochs,
            "train.batch_size": batch_size, "optimizer.learning_rate": self.learning_rate,
            "data.validation_fraction": 0.0, "evaluate.checkpoint": "last", "seed": seed,
        }  # fmt: skip
        rows = from_arrays("table", {"x_train": X, "x_test": X}, validation_fraction=0.0)
        self.run_: Run = fit(self.config, rows, {**fixed, **(self.settings or {})}, progress=False)
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the codes `[N, n_components]` of X."""
        codes = self._run().encode(self._checked(X))
        return codes.reshape(len(codes), -1)

    def inverse_transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Decode codes `[N, n_components]` to rows in the units of the data."""
        return self._run().decode(X)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """Return the mean log-likelihood of X in nats per row, in the units of the data, by importance weighting."""
        del y
        return float(np.mean(self._run().log_likelihood(self._checked(X), self.num_samples)))

    def sample(self, n_samples: int = 1) -> np.ndarray:
        """Draw new rows `[n_samples, features]`: the means of p(x|z) at draws from the prior."""
        return self._run().sample(n_samples)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # codes are float32
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(np.prod(self._run().model.latent_shape))

    def _run(self) -> Run:
        check_is_fitted(self)
        return self.run_

    def _checked(self, X: Any) -> np.ndarray:  # noqa: N803
        check_is_fitted(self)
        found: Any = validate_data(self, X, dtype=np.float32, reset=False)
        return found


def _shared(size: int, num_devices: int) -> int:
    """Return the largest batch size up to `size` that the devices can share equally, if there is one."""
    return size - size % num_devices or size
