"""Export the decoder to a browser: the weights of a small dense network, else data decoded beforehand."""

import base64
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Params
from jaxvae.report.choices import Choice
from jaxvae.runs.trained_run import TrainedRun

ANY = Choice()
MAX_WEIGHTS = 600_000  # 3.2 MB of text in the page
MAX_GRID_VALUES = 700_000  # at 2 bytes: 1.9 MB
MAX_LINE_VALUES = 700_000  # at 1 byte: 0.9 MB
LEAST_SIDE, MOST_SIDE = 5, 25
LEAST_POINTS, MOST_POINTS = 7, 21  # of a line
OUTPUTS = {"identity": lambda x: x, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(x, 0),
}
TOLERANCE = 1e-4  # between a browser's float64 and the decoder's float32


def layers(params: Params) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Return the dense layers `[(weights [in, out], bias [out])]` of a decoder, None unless they form a chain.

    A chain has only the layers Dense_0, Dense_1 ..., each as wide as the output before it. A user's decoder can have
    these names and compute something else, so `export` compares the numbers.
    """
    decoder = params.get("decoder")
    if not isinstance(decoder, Mapping) or decoder.keys() != {f"Dense_{i}" for i in range(len(decoder))}:
        return None
    found = []
    for i in range(len(decoder)):
        layer = decoder[f"Dense_{i}"]
        if not isinstance(layer, Mapping) or layer.keys() != {"kernel", "bias"}:
            return None
        weights, bias = (np.asarray(layer[name], np.float64) for name in ("kernel", "bias"))
        width = found[-1][0].shape[1] if found else len(weights)
        if weights.ndim != 2 or weights.shape != (width, *bias.shape):
            return None
        found.append((weights, bias))
    return found


def outputs(network: list[tuple[np.ndarray, np.ndarray]], activation: str, output: str, z: np.ndarray) -> np.ndarray:
    """Compute `[N, D]` from z `[N, latent_dim]` as the page does: dense layers, then the output function."""
    for i, (weights, bias) in enumerate(network):
        z = z @ weights + bias
        z = ACTIVATIONS[activation](z) if i < len(network) - 1 else OUTPUTS[output](z)
    return z


def export(
    run: TrainedRun,
    centre: np.ndarray,
    axes: np.ndarray,
    spans: np.ndarray,
    sliders: Sequence[Mapping[str, Any]],
    at: Choice = ANY,
) -> dict[str, Any]:
    """Export the decoder for the page, as JSON.

    Args:
      run: the run; its latents are in R^n.
      centre: `[D]`, the centre of the plane in which the user drags a point.
      axes: `[2, D]`, the directions of the plane.
      spans: `[2]`, the half-width of the plane along each axis.
      sliders: the dimensions that have a slider: "index", "low" and "high" of each, the most informative first.
      at: the contexts that the page offers, of a conditional run.

    Returns:
      `{"kind": "weights", "layers", "activation", "output", "low", "high"}` where dense layers give the decoder's
      means (checked here against the decoder itself); after z they take the context to choose, encoded. Else
      `{"kind": "grid", "side", "values", "lines", "error"}`, for each context in turn the means over an even grid of
      the plane and along lines, between which the page interpolates; "contexts" is their number, those of all classes
      to choose from, or 1 where these pictures would be too large: that of the first test example. "lines" has the
      points of a line and their values for the first sliders, one dimension at a time, the others at the centre.
      "error" is the mean absolute error of the interpolation halfway between the points, in units of the range of x.

    Raises:
      UserError: the network is not a dense chain, and its pictures are too large for a grid.
    """
    return _weights(run, centre, spans, at) or _decoded(run, centre, axes, spans, sliders, at)


def _weights(run: TrainedRun, centre: np.ndarray, spans: np.ndarray, at: Choice) -> dict[str, Any] | None:
    """Return the dense layers, and the activations that reproduce the decoder's means at random z; None if none do."""
    network = _folded(layers(run.params), len(centre), at)
    if not network or sum(weights.size for weights, _ in network) > MAX_WEIGHTS:
        return None
    low, high = run.experiment.spec.pixel_range(run.config)
    rng = np.random.default_rng(0)
    z = centre + rng.normal(size=(64, len(centre))) * np.linalg.norm(spans) / np.sqrt(len(centre))
    contexts = at.drawn(rng, len(z))
    wanted = run.decode(z, contexts if len(at.shown) else None).reshape(len(z), -1)
    z = np.concatenate([z, contexts[:, at.is_chosen]], axis=1)
    for activation, output in itertools.product(ACTIVATIONS, OUTPUTS):
        with np.errstate(all="ignore"):  # the wrong activation may overflow
            got = outputs(network, activation, output, z.astype(np.float64))
        if got.shape == wanted.shape and np.abs(got - wanted).max() <= TOLERANCE * (high - low):
            packed = [{"in": w.shape[0], "out": w.shape[1], "weights": pack(w), "bias": pack(b)} for w, b in network]
            return {
                "kind": "weights", "layers": packed, "activation": activation, "output": output,
                "low": float(low), "high": float(high),
            }  # fmt: skip
    return None


def _folded(network: list[Any] | None, latent_dim: int, at: Choice) -> list[Any] | None:
    """Fold the part of the context that cannot be chosen into the first bias; None where the inputs are others.

    None also where a part of x is the context, which the decoder does not learn.
    """
    if not network or any(field.kind == "pixels" for field in at.fields):
        return None
    weights, bias = network[0]
    if len(weights) == latent_dim and not at.chosen:
        return network
    if len(weights) != latent_dim + len(at.shown):
        return None
    held = ~at.is_chosen
    of_context = weights[latent_dim:]
    bias = bias + at.shown[held].astype(np.float64) @ of_context[held]
    return [(np.concatenate([weights[:latent_dim], of_context[at.is_chosen]]), bias), *network[1:]]


def _decoded(
    run: TrainedRun,
    centre: np.ndarray,
    axes: np.ndarray,
    spans: np.ndarray,
    sliders: Sequence[Mapping[str, Any]],
    at: Choice,
) -> dict[str, Any]:
    contexts, size = at.contexts(), math.prod(run.model.data_shape)
    side = _side(size * len(contexts))
    if side < LEAST_SIDE:
        contexts = at.shown[None]
        side = _side(size)
    if side < LEAST_SIDE:
        raise UserError(f"pictures of shape {run.model.data_shape} are too large.")
    right, up = np.meshgrid(*[np.linspace(-1, 1, side)] * 2)
    z = centre + right[..., None] * spans[0] * axes[0] + up[..., None] * spans[1] * axes[1]
    grid = _unit(run, z, contexts)
    beside = grid[:, 1:, 1:] + grid[:, 1:, :-1] + grid[:, :-1, 1:] + grid[:, :-1, :-1]
    errors, lines = [_unit(run, (z[1:, 1:] + z[:-1, :-1]) / 2, contexts) - beside / 4], None
    if len(centre) > 2:  # else the plane is all of z
        room = MAX_LINE_VALUES // (size * len(contexts))
        sliders = sliders[: room // LEAST_POINTS]
        points = min(room // len(sliders), MOST_POINTS)
        z = np.tile(centre, (len(sliders), points, 1))
        for row, each in zip(z, sliders, strict=True):
            row[:, each["index"]] = np.linspace(each["low"], each["high"], points)
        line = _unit(run, z, contexts)
        errors.append(_unit(run, (z[:, 1:] + z[:, :-1]) / 2, contexts) - (line[:, :, 1:] + line[:, :, :-1]) / 2)
        lines = {"points": points, "count": len(sliders), "values": _bytes(line * 255, "u1")}
    return {
        "kind": "grid", "side": side, "values": _bytes(grid * 65535, "<u2"), "lines": lines,
        "error": float(max(np.abs(each).mean() for each in errors)), "contexts": len(contexts),
    }  # fmt: skip


def _side(values: int) -> int:
    """Return the side of the largest grid of pictures with this many values at each point."""
    return min(math.isqrt(MAX_GRID_VALUES // max(values, 1)), MOST_SIDE)


def _unit(run: TrainedRun, z: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """Decode z `[..., D]` at each of M contexts `[M, C]` to means in [0, 1], `[M, ..., values]`."""
    flat = z.reshape(-1, z.shape[-1])

    def at_one(context: np.ndarray) -> np.ndarray:
        rows = np.tile(context, (len(flat), 1)) if context.size else None
        return run.unit(run.decode(flat, rows), rows).reshape(*z.shape[:-1], -1)

    return np.stack([at_one(context) for context in contexts])


def _bytes(values: np.ndarray, kind: str) -> str:
    """Round to whole numbers of a type, in base64."""
    return base64.b64encode(np.round(values).astype(kind).tobytes()).decode()


def pack(array: Any) -> str:
    """Encode an array as float32, little-endian, in base64."""
    return base64.b64encode(np.asarray(jax.device_get(array), "<f4").tobytes()).decode()
