"""The facts about a model that other rooms ask, instead of looking at its parts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxvae.common.types import Array, Key, Params, Tree, no_params
from jaxvae.distributions.spaces import EUCLIDEAN, Space

Batch = dict[str, Array]  # "x" [B, *data_shape]; where there are: "label" [B], "context" [B, C], "mask" as x


class Latent(NamedTuple):
    """Facts about z and q(z|x).

    Attributes:
      shape: the shape of one z.
      space: where z lives.
      is_density: whether q(z|x) is a density or a mass function; a point (an autoencoder's code) is neither.
      knows_density: whether log q(z|x) is known at any z, and not only at z that q(z|x) has just drawn.
      is_relaxed: whether training decodes a continuous relaxation of z, so that only `q.sample` is exact.
      has_soft_codes: whether gradients pass to q(z|x) through codes, at which log p(z) has no slope.
      codebook: `(params) -> [num_codes, code_dim]`, where z is made of codes; None elsewhere.
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
    """Facts about x: the shape of one example (of sequences the longest), and whether it is a sequence."""

    shape: tuple[int, ...]
    is_sequential: bool = False

    @property
    def given_shape(self) -> tuple[int | None, ...]:
        """The shape that each example is checked against: sequences can have any length."""
        return (None, *self.shape[1:]) if self.is_sequential else self.shape

    @property
    def is_text(self) -> bool:
        """Whether an example is a sequence of tokens, whole numbers without a slope."""
        return self.is_sequential and len(self.shape) == 1


class State(NamedTuple):
    """Parameters of a model that gradients do not own, such as a codebook of running means.

    Attributes:
      init: `key -> {part: tree}`; `{}` where there is no state.
      update: `(state, pass, key) -> state`, after each training step.
      whole_batch: why an update must see the whole batch; empty where it need not.
    """

    init: Callable[[Key], Tree] = no_params
    update: Callable[[Tree, Any, Key], Tree] = lambda state, out, key: state
    whole_batch: str = ""
