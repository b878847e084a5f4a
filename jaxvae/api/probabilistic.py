"""Give a trained run to NumPyro."""

from collections.abc import Callable
from typing import Any

from jaxvae.api.run import Run
from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution
from jaxvae.data.wanted import described, wanted
from jaxvae.latent.probabilistic import numpyro_model
from jaxvae.models.context import given


def as_numpyro(
    run: Run, observe: Callable[[Array], Distribution] | None = None, context: Any = None
) -> Callable[..., Array]:
    """Return the decoder and the prior of a run as a NumPyro model, p(z) p(obs|z), for NUTS over z.

    Values are in the model's units, pixels in `data.pixel_range`; see `latent.probabilistic.numpyro_model`.

    Args:
      run: the result of `jaxvae.fit` or `jaxvae.load`.
      observe: `x -> distribution of the observation`, given the mean of p(x|z); by default p(x|z) itself.
      context: of a conditional model, one in your own terms, as for `run.sample`.

    Returns:
      `(obs=None, mask=None) -> obs`, a model with the sites "z", "x" and "obs".

    Raises:
      UserError: the latents are not in R^n, no density of the observation is known, or there is no single context.
    """
    model = run.model
    if model.context_dim:
        if context is None:
            raise UserError(
                f"The model is conditional on {described(run.spec.context)}: give as_numpyro(run, context=...)."
            )
        rows = wanted(run.spec, run.config["data"], context)
        if len(rows) != 1:
            raise UserError(f"as_numpyro takes one context, and {len(rows)} were given: make a model for each.")
        model = given(model, rows[0])
    return numpyro_model(model, run.params, observe)
