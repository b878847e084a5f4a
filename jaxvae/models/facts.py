"""Define the facts about a model, so that other code need not inspect its parts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxvae.common.types import Array, Key, Params, Tree, no_params
from jaxvae.distributions.spaces import EUCLIDEAN, Space

Batch = dict[str, Array]  # "x" [B, *data_shape]; optional: "label" [B], "context" [B, C], "mask" as x


def as_batch(given: Any) -> Batch:
    """Return a batch; an array `[B, *data_shape]` is a batch of x alone."""
    return given if isinstance(given, dict) else {"x": given}


def batch_of(x: Array, context: Array | None = None, mask: Array | None = None) -> Batch:
    """Return a batch of x, with its context and its mask where there are any."""
    beside = {"context": context, "mask": mask}
    return {"x": x} | {name: array for name, array in beside.items() if array is not None}


class Latent(NamedTuple):
    """Facts about z and q(z|x).

    Attributes:
      shape: the shape of one z.
      space: the latent space.
      is_density: whether q(z|x) is a density or a mass function; a point (an autoencoder's code) is neither.
      knows_density: whether log q(z|x) can be computed at any z, not only at q's own draws.
      is_relaxed: whether training decodes a continuous relaxation of z, so that only `q.sample` is exact.
      has_soft_codes: whether gradients pass to q(z|x) through codes, where log p(z) has no gradient.
      codebook: `(params) -> [num_codes, code_dim]`, if z consists of codes; else None.
      num_codes: length of the codebook.
    """

    shape: tuple[int, ...]
    space: Space = EUCLIDEAN
    is_density: bool = True
    knows_density: bool = True
    is_relaxed: bool = False
    has_soft_codes: bool = False
    codebook: Callable[[Params], Array] | None = None
    num_codes: int = 0


class Data(NamedTuple):
    """Facts about x: the shape of one example (for sequences, of the longest), and whether it is a sequence."""

    shape: tuple[int, ...]
    is_sequential: bool = False

    @property
    def given_shape(self) -> tuple[int | None, ...]:
        """Return the shape for checks of an example: sequences can have any length."""
        return (None, *self.shape[1:]) if self.is_sequential else self.shape

    @property
    def is_text(self) -> bool:
        """Return whether an example is a sequence of tokens, whole numbers without gradients."""
        return self.is_sequential and len(self.shape) == 1


class State(NamedTuple):
    """Parameters of a model that gradients do not own, such as a codebook of running means.

    Attributes:
      init: `key -> {part: tree}`; `{}` without state.
      update: `(state, pass, key) -> state`, after each training step.
      whole_batch: why an update needs the whole batch; empty if it does not.
    """

    init: Callable[[Key], Tree] = no_params
    update: Callable[[Tree, Any, Key], Tree] = lambda state, out, key: state
    whole_batch: str = ""
