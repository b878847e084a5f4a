"""The functions of a trained model that can be exported, each of one example, in the units of the data."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.types import Array, Params
from jaxvae.data.own_units import in_own_units
from jaxvae.data.quadrants import modelled
from jaxvae.data.spec import DataSpec, preprocess_of
from jaxvae.models.base import Model, centre, encode_batch
from jaxvae.models.facts import SPREAD
from jaxvae.models.sampling import draw_prior, sample
from jaxvae.models.two_stage import spread

TRIED = 3  # examples at which a converted function is compared


class Piece(NamedTuple):
    """A function to export.

    Attributes:
      name: "encoder", "decoder" or "sampler".
      function: takes the inputs of one example, in their order, and returns `{output: array}`.
      inputs: shape and dtype of one example, by name.
      made_of: the parts of the model that it consists of, for messages.
    """

    name: str
    function: Callable[..., dict[str, Array]]
    inputs: dict[str, jax.ShapeDtypeStruct]
    made_of: str

    @property
    def outputs(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Return shape and dtype of the outputs of one example, by name."""
        return jax.eval_shape(self.function, *self.inputs.values())

    def of_batch(self) -> Callable[..., dict[str, Array]]:
        """Return the function of a batch `[N, ...]` of each input, of any N."""
        return jax.vmap(self.function)


def pieces(model: Model, params: Params, config: Mapping[str, Any], spec: DataSpec) -> tuple[Piece, ...]:
    """Return encoder, decoder and sampler of a trained model.

    The encoder maps x to z, the mean of q(z|x) or its centre, and to sd, its standard deviations where q is Gaussian.
    The decoder maps z to the mean of p(x|z), or a decoded sequence; the sampler maps seeds to new examples. x is in the
    data's own units, as `data.own_units.viewed`, but binarised pixels go in as 0 and 1: the draw is left to the caller.
    All have the context as a further input where the model has one, and the encoder the mask of observed values where
    the data has missing ones.
    """
    shown, prepare = partial(in_own_units, config, spec), _preparation(config, spec)
    held = modelled(spec.context_names, spec.shape)
    x = jax.ShapeDtypeStruct(model.data_shape, jnp.int32 if spec.sequence else jnp.float32)
    context = {"context": jax.ShapeDtypeStruct((model.context_dim,), jnp.float32)} if model.context_dim else {}
    mask = {"mask": jax.ShapeDtypeStruct(model.data_shape, jnp.bool_)} if model.mask_input else {}
    coded = f"network '{config['network']['name']}', posterior '{config['model']['posterior']['name']}'"
    shaped = f"network '{config['network']['name']}', likelihood '{config['model']['likelihood']['name']}'"

    def encode(x: Array, *beside: Array) -> dict[str, Array]:
        batch: dict[str, Any] = {"x": prepare(x[None])} | {
            name: array[None] for name, array in zip(given, beside, strict=True)
        }
        if held is not None:
            batch["mask"] = held[None] & batch.get("mask", True)
        posterior = encode_batch(model, params, batch)
        z: Any = centre(posterior)[0]
        known = spread(posterior)
        return {"z": z, "sd": known[SPREAD].reshape(z.shape)} if known else {"z": z}

    def decode(z: Array, *beside: Array) -> dict[str, Array]:
        likelihood: Any = model.decode(params, z[None], *(row[None] for row in beside))
        return {"x": shown(likelihood.mean)[0]}

    def draw(seed: Array, *beside: Array) -> dict[str, Array]:
        rows = beside[0][None] if beside else None
        return {"x": shown(sample(model, params, jax.random.key(seed), 1, context=rows))[0]}

    given = (*context, *mask)
    row = jax.ShapeDtypeStruct((1, model.context_dim), jnp.float32) if model.context_dim else None
    z = jax.eval_shape(lambda c: draw_prior(model, params, jax.random.key(0), 1, context=c), row)
    code = jax.ShapeDtypeStruct(z.shape[1:], z.dtype)
    return (
        Piece("encoder", encode, {"x": x, **context, **mask}, coded),
        Piece("decoder", decode, {"z": code, **context}, shaped),
        Piece(
            "sampler",
            draw,
            {"seed": jax.ShapeDtypeStruct((), jnp.uint32), **context},
            f"prior '{config['model']['prior']['name']}', {shaped}",
        ),
    )


def _preparation(config: Mapping[str, Any], spec: DataSpec) -> Callable[[Array], Array]:
    """Return the preprocessing without random draws: binarised pixels are given as 0 and 1."""
    settings = config["data"]
    drawn = {"binarization": "static"} if settings["binarization"] == "dynamic" else {}
    prepare = preprocess_of({**config, "data": {**settings, **drawn}}, spec)
    return lambda x: prepare(jax.random.key(0), x)


def examples(piece: Piece, model: Model, params: Params, config: Mapping[str, Any], spec: DataSpec) -> list[np.ndarray]:
    """Return inputs of a function to try it at: samples of the model, z of its prior, no context and all observed."""
    draw_key, decode_key = jax.random.split(jax.random.key(0))
    context = jnp.zeros((TRIED, model.context_dim)) if model.context_dim else None
    drawn: dict[str, Any] = {"context": context, "mask": np.ones((TRIED, *model.data_shape), bool)}
    drawn["z"] = draw_prior(model, params, draw_key, TRIED, context=context)
    if "x" in piece.inputs:
        x = in_own_units(config, spec, sample(model, params, decode_key, TRIED, context=context))
        drawn["x"] = x > spec.greatest / 2 if config["data"]["binarization"] != "none" else x
    return [np.asarray(drawn[name], one.dtype) for name, one in piece.inputs.items()]


def about(config: Mapping[str, Any], spec: DataSpec) -> dict[str, str]:
    """Describe inputs and outputs by name."""
    text, music = "tokens, see vocabulary, -1 after the end", "frames of 0 and 1, -1 after the end"
    x = {"text": text, "music": music}.get(spec.sequence, "values in the units of the data")
    if config["data"]["binarization"] != "none":
        x += f"; into the encoder binarised, 0 or 1, out of the others from 0 to {spec.greatest:g}"
    return {
        "x": f"{x}; out of the decoder the mean of p(x|z), or a decoded sequence",
        "z": "the mean of q(z|x), or its centre",
        "sd": "the standard deviations of q(z|x), which is Gaussian",
        "seed": "one whole number for each new example",
        "context": "what the model is conditional on, encoded: see context",
        "mask": "whether a value of x is observed",
    }
