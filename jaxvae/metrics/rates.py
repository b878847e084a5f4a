"""How much the latent carries: the KL's parts under the aggregate posterior, units in use, and collapse."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxvae.distributions import HamiltonianFlow, Quantized
from jaxvae.errors import UserError
from jaxvae.kl import kl_by_group
from jaxvae.model import Model, centre, draw
from jaxvae.types import Array, Distribution, Key, Params

UNUSED_NATS = 0.01  # a latent variable with a lower mean KL is not used: it tells less than 1/69 of a bit
ACTIVE_VARIANCE = 0.01  # of arXiv:1509.00519, section 5.1; the prior's variance is 1
MOST = 0.5  # a larger share of unused latent variables is worth a warning
UNINFORMATIVE_NATS = 0.05  # less mutual information than this says that q(z|x) is the same for every x
IGNORED = 0.01  # a decoder whose outputs vary with x by a smaller share of the data's variance ignores z


class _Encoded(NamedTuple):
    """What one pass over the data leaves: `posteriors` by batch, and `[N, ...]` arrays of one draw of z for each x."""

    posteriors: list[Any]
    z: Array
    log_posterior: np.ndarray
    log_prior: np.ndarray


def aggregate_kl(
    model: Model, params: Params, key: Key, batches: Iterable[Array], num_rows: int = 1000, memory_mb: float = 64.0
) -> dict[str, float]:
    """E_x KL(q(z|x) || p(z)) in its parts, with q(z) = 1/N sum_n q(z|x_n) over just these N examples.

    kl = mutual_information + marginal_kl (Hoffman & Johnson 2016), where I(x; z) is at most log N and the other is
    KL(q(z) || p(z)). Where q(z|x) and p(z) are products over dimensions, marginal_kl = total_correlation +
    dimension_wise_kl (Chen et al. 2018, arXiv:1802.04942, equation 2). Means over one z from q(z|x_n) for each of
    `num_rows` evenly spaced n; q(z) is the whole mixture, so that the only error is that of the mean, beside N itself.

    Args:
      model: q(z|x) has a density, or a mass, at any z.
      params: its parameters.
      key: batch i uses `fold_in(key, i)`.
      batches: of `[B, *data_shape]` as the model sees them; passed over once, and only their q(z|x) are kept.
      num_rows: more takes longer in proportion; all of them at most.
      memory_mb: a bound on the pairs (z, x_n) held at a time, by the length of z.

    Returns:
      nats: "kl", "mutual_information", "marginal_kl", and "total_correlation" and "dimension_wise_kl" where they exist.

    Raises:
      UserError: q(z|x) has no density at any z, there are no examples, or `num_rows` is below 1.
    """
    encoded = _encode(model, params, key, batches)
    return _split_kl(model, params, encoded, num_rows, memory_mb)


def active_units(codes: np.ndarray | Array, threshold: float = ACTIVE_VARIANCE) -> dict[str, Any]:
    """Latent dimensions whose code varies over the data (Burda et al. 2015, arXiv:1509.00519, section 5.1).

    Args:
      codes: `[N, D]`, the means of q(z|x).
      threshold: of the variance over x, which must lie above it.

    Returns:
      "active_units", their number; "variances", those of all D dimensions.

    Raises:
      UserError: `codes` is not `[N, D]` with N of 2 at least, or is not finite.
    """
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or len(codes) < 2 or not np.isfinite(codes).all():
        raise UserError(
            f"active_units got codes of shape {codes.shape}; it needs finite ones [N, D], of 2 examples or more."
        )
    variances = codes.var(axis=0)
    return {"active_units": int(np.sum(variances > threshold)), "variances": variances.tolist()}


def collapse(
    model: Model, params: Params, key: Key, batches: Iterable[Array], num_rows: int = 1000, memory_mb: float = 64.0
) -> dict[str, Any]:
    """Whether the latent is used: by the encoder, and by the decoder.

    Args are those of `aggregate_kl`.

    Returns:
      "kl_by_variable": the mean of KL(q(z|x) || p(z)) over x in nats for each latent variable; of length 1 where only
        the whole has one (estimated from one z for each x where it has no closed form), None where q is no density.
      "kl": their sum, or None.
      "unused_share": of these, the share below 0.01 nats; of the code's dimensions that are not active without a KL.
      "active_units", "num_units": dimensions of the code with a variance over x above 0.01, and all of them.
      "mutual_information": of x and z under q, in nats, see `aggregate_kl`; None where q has no density at any z.
      "decoder_variation": the variance over x of the reconstruction from the code, as a share of the data's, both
        summed over values: 0 where the decoder ignores z, towards 1 where it tells the examples apart.
      "warning": a sentence on the first of these that holds, or "". All latent variables have a KL below 0.01 nats,
        no unit is active, or the mutual information is below 0.05 nats; the decoder's variation is below 1%; more than
        half of the latent variables, or of the units, are not used.

    Raises:
      UserError: fewer than 2 examples, or `num_rows` below 1.
    """
    batches = list(batches)
    num = _check_size(sum(map(len, batches)), num_rows, at_least=2)

    @jax.jit
    def of_batch(x):
        posterior, prior = model.encode(params, x), model.prior(params)
        codes = centre(posterior)
        groups = _kl_groups(posterior, prior) if model.posterior.is_density else None
        return codes, model.decode(params, codes).mean, groups

    codes, groups, moments = [], [], np.zeros((2, 2, *model.data_shape))  # [first or second, data or decoded, ...]
    shift = np.asarray(batches[0][0], np.float64)  # near the data, so that the second moments keep their digits
    for x in batches:
        code, decoded, group = of_batch(x)
        codes.append(np.asarray(code).reshape(len(x), -1))
        groups.append(group)
        both = np.stack([np.asarray(x, np.float64), np.asarray(decoded, np.float64)]) - shift
        moments += np.stack([both.sum(axis=1), np.square(both).sum(axis=1)]) / num
    data, decoded = np.sum(moments[1] - np.square(moments[0]), axis=tuple(range(1, 1 + len(model.data_shape))))

    encoded = _encode(model, params, key, batches) if model.posterior.is_density else None
    kl = None
    if encoded is not None:
        kl = np.asarray([encoded.log_posterior.mean() - encoded.log_prior.mean()])
        if groups[0] is not None:
            kl = np.concatenate(groups, axis=1, dtype=np.float64).mean(axis=1)
    active = active_units(np.concatenate(codes))["active_units"]
    units = codes[0].shape[1]
    information = None
    if encoded is not None and _has_density(model, encoded.posteriors[0]):
        information = _split_kl(model, params, encoded, num_rows, memory_mb)["mutual_information"]
    report = {
        "kl_by_variable": None if kl is None else kl.tolist(),
        "kl": None if kl is None else float(np.sum(kl)),
        "unused_share": 1 - active / units if kl is None else float(np.mean(kl < UNUSED_NATS)),
        "active_units": active,
        "num_units": units,
        "mutual_information": information,
        "decoder_variation": float(decoded / data) if data > 0 else 0.0,
    }
    return {**report, "warning": _warning(report)}


def _warning(report: dict[str, Any]) -> str:
    kl, information, active, units = (report[k] for k in ("kl", "mutual_information", "active_units", "num_units"))
    unused, variables = report["unused_share"], len(report["kl_by_variable"] or []) or units
    numbers = f"{active} of {units} units are active"
    if kl is not None:
        numbers += f", the KL is {kl:.3g} nats, {round(unused * variables)} of {variables} of its terms below "
        numbers += f"{UNUSED_NATS} nats"
    if information is not None:
        numbers += f", and x and z share {information:.3g} nats"
    if unused == 1 or active == 0 or (information is not None and information < UNINFORMATIVE_NATS):
        return f"Posterior collapse: q(z|x) hardly depends on x ({numbers})."
    if report["decoder_variation"] < IGNORED:
        share = f"{100 * report['decoder_variation']:.2g}%"
        return f"The decoder ignores z: its outputs vary with x by {share} of the data's variance ({numbers})."
    if max(unused, 1 - active / units) > MOST:
        return f"Most of the latent is not used ({numbers})."
    return ""


def _encode(model: Model, params: Params, key: Key, batches: Iterable[Array]) -> _Encoded:
    @jax.jit
    def of_batch(key, x):
        posterior: Any = model.encode(params, x)
        z, log_posterior = draw(key, posterior, 1, exact=True)
        prior: Any = model.prior(params)
        return posterior, z[0], log_posterior[0], prior.log_prob(z[0])

    parts = [of_batch(jax.random.fold_in(key, i), x) for i, x in enumerate(batches)]
    if not parts:
        raise UserError("There is nothing to measure: there are no examples.")
    posteriors, z, *logs = zip(*parts, strict=True)
    return _Encoded(list(posteriors), jnp.concatenate(z), *(np.concatenate(log).astype(np.float64) for log in logs))


def _split_kl(model: Model, params: Params, encoded: _Encoded, num_rows: int, memory_mb: float) -> dict[str, float]:
    num = _check_size(len(encoded.z), num_rows, at_least=1)
    if not _has_density(model, encoded.posteriors[0]):
        raise UserError(
            f"The parts of the KL need log q(z|x) at any z, which a {type(encoded.posteriors[0]).__name__} does not "
            "know: take the posterior 'diagonal_gaussian', 'full_covariance' or a flow."
        )
    rows = np.unique(np.linspace(0, num - 1, min(num_rows, num)).round().astype(int))
    z, prior = encoded.z[rows], model.prior(params)
    prior_factors = _factors(prior)
    by_dimension = prior_factors is not None and _factors(encoded.posteriors[0]) is not None
    size = math.prod(model.latent_shape)

    @jax.jit
    def sums(posterior, z):
        """Log sum_n q(z|x_n) `[R]`, and by dimension `[R, D]`, over one batch of x_n."""

        def of_one(z):
            if not by_dimension:
                return jax.nn.logsumexp(posterior.log_prob(z)), ()
            pairs = _factors(posterior).log_prob(z)  # [B, D]
            return jax.nn.logsumexp(jnp.sum(pairs, axis=-1)), jax.nn.logsumexp(pairs, axis=0)

        batch = posterior.batch_shape[0]
        return jax.lax.map(of_one, z, batch_size=int(np.clip(memory_mb * 1e6 / (4 * size * batch), 1, len(z))))

    parts = [jax.device_get(sums(posterior, z)) for posterior in encoded.posteriors]
    log_joint = np.logaddexp.reduce([joint.astype(np.float64) for joint, _ in parts]) - math.log(num)
    log_posterior, log_prior = encoded.log_posterior[rows], encoded.log_prior[rows]
    split = {
        "kl": log_posterior - log_prior,
        "mutual_information": log_posterior - log_joint,
        "marginal_kl": log_joint - log_prior,
    }
    if by_dimension:
        log_marginals = np.logaddexp.reduce([by.astype(np.float64) for _, by in parts]) - math.log(num)
        split["total_correlation"] = log_joint - log_marginals.sum(axis=-1)
        split["dimension_wise_kl"] = log_marginals.sum(axis=-1) - log_prior
    return {name: float(values.mean()) for name, values in split.items()}


def _kl_groups(posterior: Distribution, prior: Distribution) -> Array | None:
    try:
        return kl_by_group(posterior, prior)
    except UserError:  # no closed form
        return None


def _factors(distribution: Any) -> Any:
    """The distribution of each dimension, where this is a product over them; else None."""
    base: Any = distribution.base_dist if isinstance(distribution, dist.Independent) else distribution
    return base if isinstance(distribution, dist.Independent) and not base.event_shape else None


def _has_density(model: Model, posterior: Any) -> bool:
    """Whether q(z|x) has a log_prob that means something at any z."""
    return model.posterior.is_density and not isinstance(posterior, Quantized | HamiltonianFlow)


def _check_size(num: int, num_rows: int, at_least: int) -> int:
    if num < at_least or num_rows < 1:
        raise UserError(
            f"There are {num} examples, of which num_rows={num_rows} are drawn; at least {at_least} and 1 are needed."
        )
    return num
