"""Define the contract of samplers; encode training sets for their fit; decode their samples."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.distributions.spaces import Space
from jaxvae.models.base import Model, centre, encode_batch
from jaxvae.models.facts import Batch, as_batch
from jaxvae.models.sampling import decoded_sample

CHUNK = 512  # latents drawn and decoded at a time: one compilation, and the first samples do not depend on `num`

Draw = Callable[..., Array]  # (key, num, temperature=1.0) -> z [num, *latent_shape]


class Codes(NamedTuple):
    """Codes of a training set, in host memory.

    Attributes:
      centres: `[N, *latent_shape]`, the centre of q(z|x) of each example.
      draws: `[N, *latent_shape]`, one z ~ q(z|x) of each example: samples of the aggregate posterior.
      inputs: `[M, *data_shape]`, a random subset of the preprocessed examples, M <= N.
      masks: bool of their shape, True where a value is observed; None where all are.
      contexts: `[M, C]`, their contexts; None for a model without context.
    """

    centres: np.ndarray
    draws: np.ndarray
    inputs: np.ndarray
    masks: np.ndarray | None = None
    contexts: np.ndarray | None = None


class Sampler(NamedTuple):
    """Draws z from a trained model.

    Attributes:
      fit: `(model, params, codes, key) -> draw`; `draw(key, num, temperature=1.0)` returns z `[num, *latent_shape]`.
        The same keys give the same bits. Raises UserError where the sampler does not fit the model's latents.
      needs_codes: False where `fit` ignores the codes, which may then be None.
    """

    fit: Callable[[Model, Params, Any, Key], Draw]
    needs_codes: bool = True


def encode_all(
    model: Model, params: Params, batches: Iterable[Array | np.ndarray | Batch], key: Key, keep: int = 1000
) -> Codes:
    """Encode a training set.

    Args:
      model: a trained model.
      params: its parameters.
      batches: preprocessed x `[B, *data_shape]`, or whole batches with context and mask, one after the other.
      key: batch i draws its z with `fold_in(key, i)`.
      keep: number of examples kept as `inputs`; all where there are fewer.

    Raises:
      UserError: there are no batches, or a code is NaN or infinite.
    """

    @jax.jit
    def encode(params: Params, batch: Batch, key: Key):
        z_key, rank_key = jax.random.split(key)
        posterior: Any = encode_batch(model, params, batch)
        return centre(posterior), posterior.sample(z_key), jax.random.uniform(rank_key, batch["x"].shape[:1])

    parts, ranks = [], np.zeros(0)
    kept: dict[str, np.ndarray] = {}
    for i, batch in enumerate(map(as_batch, batches)):
        *both, rank = map(np.asarray, encode(params, batch, jax.random.fold_in(key, i)))
        parts.append(both)
        ranks = np.concatenate([ranks, rank])
        first = np.argsort(ranks, kind="stable")[:keep]  # the lowest random ranks are a random subset
        ranks = ranks[first]
        for name in batch.keys() & {"x", "mask", "context"}:
            before = [kept[name]] if name in kept else []
            kept[name] = np.concatenate([*before, np.asarray(batch[name])])[first]
    if not parts:
        raise UserError("A sampler is fitted to the codes of a training set, but no batch of it was given.")
    centres, draws = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if not (np.isfinite(centres).all() and np.isfinite(draws).all()):
        raise UserError(
            "Some of the training set's codes are NaN or infinite, so that no sampler can be fitted to them: look for "
            "extreme values in the data, or train again with a smaller optimizer.learning_rate."
        )
    return Codes(centres, draws, kept["x"], kept.get("mask"), kept.get("context"))


def sample_with(model: Model, params: Params, draw: Draw, key: Key, num: int, temperature: float = 1.0) -> np.ndarray:
    """Sample data `[num, *data_shape]`: point estimates of x given z from a fitted sampler.

    It decodes CHUNK at a time; chunk i draws with `fold_in(key, i)`.

    Raises:
      UserError: `num` is below 1, or the sampler does not take this temperature.
    """
    if num < 1:
        raise UserError(f"sample.num is {num}; it must be at least 1.")
    decode = jax.jit(lambda params, key, z: decoded_sample(model, key, model.decode(params, z)))
    keys = (jax.random.fold_in(key, i) for i in range(-(-num // CHUNK)))
    return np.concatenate([np.asarray(decode(params, k, draw(k, CHUNK, temperature))) for k in keys])[:num]


def compiled(
    name: str, draw: Callable[[Tree, Key, int, Array], Array], tree: Tree, unscaled: Space | None = None
) -> Draw:
    """Compile `draw(tree, key, num, temperature)` into the `(key, num, temperature=1.0)` of the sampler `name`.

    It compiles once per `num`. It refuses temperatures that are negative or NaN, temperatures other than 1 in a space
    without multiples (`unscaled`), and non-finite draws.
    """
    run = partial(jax.jit(draw, static_argnums=2), tree)

    def checked(key: Key, num: int, temperature: float = 1.0) -> Array:
        if unscaled is not None and temperature != 1.0:
            raise UserError(f"sample.temperature is {temperature}, but latents in {unscaled} take only 1.")
        if not temperature >= 0:
            raise UserError(f"sample.temperature is {temperature}; it must be 0 or more.")
        z = run(key, num, temperature)
        wrong = int(np.sum(~np.isfinite(np.asarray(z).reshape(num, -1)).all(axis=1)))
        if wrong:
            raise UserError(
                f"{wrong} of {num} draws of the sampler '{name}' are NaN or infinite: it does not fit these codes. "
                "Take sample.sampler='gmm' or 'pseudo_inputs', a lower sample.temperature, or train the model again "
                "with a smaller optimizer.learning_rate."
            )
        return z

    return checked
