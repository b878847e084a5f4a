"""Define the contract of a posterior."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxvae.common.types import Array, Distribution, Key, Params, Tree, no_params
from jaxvae.distributions.spaces import EUCLIDEAN, Space


class Posterior(NamedTuple):
    """Approximate posterior q(z|x) as pure functions.

    Attributes:
      latent_shape: the shape of one z.
      num_outputs: the number of encoder outputs for each example.
      build: `(params, outputs [..., num_outputs], log_joint) -> q` of batch shape `[...]`, event shape `latent_shape`;
        `log_joint(z)` is log p(x, z) `[..., B]`, for posteriors that use its gradient.
      init: initialise parameters that all examples share (a flow's, say).
      space: the latent space, which the prior must share.
      is_density: False where q has neither density nor mass function, so neither KL nor bound exist.
      knows_density: False where log q(z|x) is known only at q's own draws, or q has all its mass on one z.
      is_implicit: True where q has a density that is not known, so that it is used by its samples alone.
      is_relaxed: True where training decodes a continuous relaxation of z, so that only `q.sample` is exact.
      has_soft_codes: True where gradients pass to q(z|x) through codes, where log p(z) has no gradient.
      init_state: initialise parameters that gradients do not own (an EMA codebook), kept in the train state.
      update_state: `(state, q, key) -> state` after each training step.
      codebook: `(params) -> [num_codes, code_dim]`, if z consists of codes; else None.
      num_codes: length of the codebook.
      penalty: `(q) -> [B]`, the posterior's term of the loss (a commitment loss).
      metrics: `(q) -> {name: [B] or []}`, metrics to report.
    """

    latent_shape: tuple[int, ...]
    num_outputs: int
    build: Callable[[Params, Array, Callable], Distribution]
    init: Callable[[Key], Params] = no_params
    space: Space = EUCLIDEAN
    is_density: bool = True
    knows_density: bool = True
    is_implicit: bool = False
    is_relaxed: bool = False
    has_soft_codes: bool = False
    init_state: Callable[[Key], Tree] = no_params
    update_state: Callable[[Tree, Any, Key], Tree] = lambda state, q, key: state
    codebook: Callable[[Params], Array] | None = None
    num_codes: int = 0
    penalty: Callable[[Any], Array] | None = None
    metrics: Callable[[Any], dict[str, Array]] = lambda q: {}
