"""Define the facts about a model, so that other code need not inspect its parts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.types import Array, Key, Params, Tree, no_params
from jaxvae.distributions.spaces import EUCLIDEAN, Space

Batch = dict[str, Array]  # "x" [B, *data_shape]; optional: "label" [B], "context" [B, C], "mask" as x
SPREAD = "spread"  # in batches of codes of a first stage whose q(z|x) is Gaussian: its deviations, as x


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
      is_density: whether q(z|x) is a known density or mass function; a point (an autoencoder's code) is neither.
      knows_density: whether log q(z|x) can be computed at any z, not only at q's own draws.
      is_implicit: whether q(z|x) has a density that is not known, so that it is used by its samples alone.
      is_relaxed: whether training decodes a continuous relaxation of z, so that only `q.sample` is exact.
      has_soft_codes: whether gradients pass to q(z|x) through codes, where log p(z) has no gradient.
      codebook: `(params) -> [num_codes, code_dim]`, if z consists of codes; else None.
      num_codes: length of the codebook.
      is_moved: whether z is a code of a first stage that the decoder moves, see `models.make_actor`.
    """

    shape: tuple[int, ...]
    space: Space = EUCLIDEAN
    is_density: bool = True
    knows_density: bool = True
    is_relaxed: bool = False
    has_soft_codes: bool = False
    codebook: Callable[[Params], Array] | None = None
    num_codes: int = 0
    is_implicit: bool = False
    is_moved: bool = False


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


class Labels(NamedTuple):
    """Facts about the labels of the data, for objectives that learn to classify.

    Attributes:
      values: the classes as they are stored, in ascending order, at least two.
      position: where the one-hot label stands in the context of a conditional model; None where it does not.
      share: share of the training examples that have a label, in (0, 1].
      batch_share: the same of the examples in a training batch.
    """

    values: tuple[int, ...]
    position: int | None = None
    share: float = 1.0
    batch_share: float = 1.0

    @property
    def num(self) -> int:
        """Return the number of classes C."""
        return len(self.values)

    def index(self, label: Array) -> Array:
        """Return the number of each class, from 0, for labels `[...]`; -1 for a label that is none of `values`."""
        values = jnp.asarray(self.values, jnp.int32)
        index = jnp.clip(jnp.searchsorted(values, label), 0, self.num - 1)
        return jnp.where(values[index] == label, index, -1)

    def context(self, context: Array, index: Array) -> Array:
        """Write one-hot labels into contexts `[..., context_dim]`, for the classes `index` `[...]`."""
        start = self.position or 0
        one_hot = jax.nn.one_hot(index, self.num, dtype=context.dtype)
        return jnp.concatenate([context[..., :start], one_hot, context[..., start + self.num :]], axis=-1)
