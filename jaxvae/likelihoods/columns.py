"""Likelihood of the rows of a table: a product over columns, each with the distribution of its kind (HI-VAE)."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxvae.common.columns import Column
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.ranges import between, check
from jaxvae.common.types import Array, Distribution, Key, Params
from jaxvae.distributions.columns import Categories, Columns, LogNormal, Ordinal
from jaxvae.distributions.counts import Poisson
from jaxvae.distributions.pixels import Bernoulli
from jaxvae.likelihoods.base import Likelihood, softly_above
from jaxvae.likelihoods.counts import MAX_LOG_MEAN
from jaxvae.losses import softplus

LEARN = ("column", "row")
MIN_GAP = 1e-3  # between the thresholds of an ordinal column
LEAST = 1e-30  # of a positive value in a logarithm


class Part(NamedTuple):
    """The distribution of the columns of one kind, all with the same number of outputs.

    Attributes:
      outputs: of the decoder, for each column.
      params: initial parameters.
      build: `(params, outputs [..., columns, outputs]) -> Distribution` of batch shape `[..., columns]`.
    """

    outputs: int
    params: Params
    build: Callable[[Params, Array], Distribution]


def columns(table: tuple[Column, ...], learn: str = "column", min_sd: float = 0.01) -> Likelihood:
    """Product over the columns of a table, each with its own distribution (Nazabal et al. 2020, HI-VAE,
    arXiv:1807.03653, section 3.1).

    Real columns are Gaussian, positive ones log-normal, counts Poisson, ordered categories a cumulative logit whose
    thresholds are learned and shared by all rows, other categories categorical, or Bernoulli if they are two. A new
    model starts near the frequencies, means and variances of the columns.

    Args:
      table: the columns.
      learn: the variance of real and positive columns: "column", one for each, or "row", a further output of the
        decoder for each, as in the paper.
      min_sd: softly the least standard deviation, in units of that of the column (of its logarithm, if positive):
        the density of a value that repeats is unbounded.

    Raises:
      UserError: the data is not a table, or an unknown option.
    """
    if not table:
        raise UserError(
            "The likelihood 'columns' needs a table, whose columns have kinds: set data.kind to 'table' (and data.path "
            "to a .csv, .tsv or .parquet file), or take a likelihood of arrays: 'gaussian', for example."
        )
    if learn not in LEARN:
        raise unknown("value of learn", learn, LEARN)
    check("likelihood", "columns", min_sd=(min_sd, between(0, 1)))
    groups: dict[str, list[int]] = {}
    for i, column in enumerate(table):
        size = f"_{len(column.categories)}" if len(column.categories) > 2 else ""
        groups.setdefault(f"{column.kind}{size}", []).append(i)
    variance = partial(_log_variance, learn, 2 * math.log(min_sd))
    parts = {name: PARTS[table[of[0]].kind]([table[i] for i in of], variance) for name, of in groups.items()}
    places = tuple(map(tuple, groups.values()))
    sizes = [len(groups[name]) * part.outputs for name, part in parts.items()]

    def init(key: Key) -> Params:
        del key
        return {name: part.params for name, part in parts.items() if part.params}

    def build(params: Params, outputs: Array) -> Distribution:
        split = jnp.split(outputs, np.cumsum(sizes)[:-1].tolist(), axis=-1)
        built = [
            part.build(params.get(name, {}), flat.reshape(*flat.shape[:-1], -1, part.outputs))
            for (name, part), flat in zip(parts.items(), split, strict=True)
        ]
        return Columns(built, places)

    encode = partial(encoder_input, table)
    return Likelihood(
        init, build, encoder_input=encode, output_size=sum(sizes), input_size=input_size(table),
        fill=tuple(column.fill for column in table), samples_draw=True, of_columns=True,
    )  # fmt: skip


def input_size(table: Sequence[Column]) -> int:
    """Length of `encoder_input`: a number for each column, but one for each category of categorical columns."""
    return sum(len(column.categories) if column.kind == "categorical" else 1 for column in table)


def encoder_input(table: Sequence[Column], x: Array) -> Array:
    """Encode rows `[..., D]` for a network, `[..., E]`: standardised numbers and codes, then one-hot categories.

    Logarithms of positive values and counts are standardised. Between two codes the one-hot vector is interpolated, so
    that learned pseudo-inputs have gradients.
    """
    kinds = np.array([column.kind for column in table])
    centre, spread = (jnp.array([getattr(column, key) for column in table]) for key in ("centre", "spread"))
    linear = jnp.where(kinds == "positive", jnp.log(jnp.maximum(x, LEAST)), x)
    linear = jnp.where(kinds == "count", jnp.log1p(jnp.maximum(x, 0.0)), linear)
    numbers = ((linear - centre) / spread)[..., np.flatnonzero(kinds != "categorical")]
    categories = [
        jnp.maximum(0.0, 1 - jnp.abs(x[..., i, None] - jnp.arange(len(table[i].categories))))
        for i in np.flatnonzero(kinds == "categorical").tolist()
    ]
    return jnp.concatenate([numbers, *categories], axis=-1)


Variance = Callable[[Params, Array], Array]  # (params, outputs [..., columns, outputs]) -> log-variance


def _log_variance(learn: str, least: float, params: Params, outputs: Array) -> Array:
    return softly_above(least, outputs[..., 1] if learn == "row" else params["log_variance"])


def _variances(columns: Sequence[Column], variance: partial) -> tuple[int, Params]:
    """Return the number of outputs of a column with a variance, and the initial parameters."""
    of_row = variance.args[0] == "row"
    return 1 + of_row, {} if of_row else {"log_variance": jnp.zeros(len(columns))}


def _real(columns: Sequence[Column], variance: partial) -> Part:
    def build(params: Params, outputs: Array) -> Distribution:
        return dist.Normal(outputs[..., 0], jnp.exp(0.5 * variance(params, outputs)))

    return Part(*_variances(columns, variance), build)


def _positive(columns: Sequence[Column], variance: partial) -> Part:
    centre, spread = _scaling(columns)

    def build(params: Params, outputs: Array) -> Distribution:
        loc, scale = centre + spread * outputs[..., 0], spread * jnp.exp(0.5 * variance(params, outputs))
        return LogNormal(loc, scale)

    return Part(*_variances(columns, variance), build)


def _count(columns: Sequence[Column], variance: partial) -> Part:
    del variance
    centre, spread = _scaling(columns)

    def build(_: Params, outputs: Array) -> Distribution:
        log_mean = centre + spread * outputs[..., 0]
        return Poisson(MAX_LOG_MEAN - softplus(MAX_LOG_MEAN - log_mean))

    return Part(1, {}, build)


def _ordinal(columns: Sequence[Column], variance: partial) -> Part:
    del variance
    below = np.cumsum([column.frequencies for column in columns], axis=-1)[:, :-1]
    thresholds = np.log(below) - np.log1p(-below)
    gaps = np.maximum(np.diff(thresholds, axis=-1) - MIN_GAP, MIN_GAP)
    params = {"first": jnp.asarray(thresholds[:, 0]), "gaps": jnp.asarray(np.log(np.expm1(gaps)))}

    def build(params: Params, outputs: Array) -> Distribution:
        first, gaps = params["first"][:, None], softplus(params["gaps"]) + MIN_GAP
        thresholds = jnp.concatenate([first, first + jnp.cumsum(gaps, axis=-1)], axis=-1)
        return Ordinal(outputs[..., 0], thresholds)

    return Part(1, params, build)


def _categorical(columns: Sequence[Column], variance: partial) -> Part:
    del variance
    offset = jnp.log(jnp.array([column.frequencies for column in columns]))
    return Part(len(columns[0].categories), {}, lambda _, outputs: Categories(offset + outputs))


def _binary(columns: Sequence[Column], variance: partial) -> Part:
    del variance
    first, second = jnp.log(jnp.array([column.frequencies for column in columns])).T
    return Part(1, {}, lambda _, outputs: Bernoulli(second - first + outputs[..., 0]))


def _scaling(columns: Sequence[Column]) -> tuple[Array, Array]:
    return jnp.array([column.centre for column in columns]), jnp.array([column.spread for column in columns])


PARTS: dict[str, Callable[[Sequence[Column], partial], Part]] = {
    "real": _real, "positive": _positive, "count": _count, "ordinal": _ordinal, "categorical": _categorical,
    "binary": _binary,
}  # fmt: skip
