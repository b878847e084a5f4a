"""Use of the latent: active units, and collapse of the posterior or of the decoder."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution, Key, Params
from jaxvae.distributions.kl import kl_by_group
from jaxvae.distributions.spaces import Space
from jaxvae.metrics.rates import check_size, encode_batches, split_kl
from jaxvae.models.base import Model, centre, context_args, encode_batch
from jaxvae.models.facts import Batch, as_batch

UNUSED_NATS = 0.01  # a latent variable with a lower mean KL (1/69 bit) counts as unused
ACTIVE_VARIANCE = 0.01  # arXiv:1509.00519, section 5.1; a share of the largest where no prior has the variance 1
MOST = 0.5  # a larger share of unused latent variables gives a warning
UNINFORMATIVE_NATS = 0.05  # with less mutual information, q(z|x) counts as the same for every x
IGNORED = 0.01  # below this share of the data's variance, the decoder counts as ignoring z


def active_units(codes: np.ndarray | Array, threshold: float = ACTIVE_VARIANCE) -> dict[str, Any]:
    """Count the latent dimensions whose code varies over the data (Burda et al. 2015, arXiv:1509.00519, section 5.1).

    Args:
      codes: `[N, D]`, the means of q(z|x).
      threshold: a dimension is active where its variance over x is above this.

    Returns:
      "active_units": the number of active dimensions; "variances": the variances of all D dimensions.

    Raises:
      UserError: `codes` is not `[N, D]` with N at least 2, or is not finite.
    """
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or len(codes) < 2 or not np.isfinite(codes).all():
        raise UserError(
            f"active_units got codes of shape {codes.shape}; they must be finite [N, D], of at least 2 examples."
        )
    variances = codes.var(axis=0)
    return {"active_units": int(np.sum(variances > threshold)), "variances": variances.tolist()}


def collapse(
    model: Model,
    params: Params,
    key: Key,
    batches: Iterable[Array | Batch],
    num_rows: int = 1000,
    memory_mb: float = 64.0,
) -> dict[str, Any]:
    """Measure the use of the latent by the encoder and by the decoder.

    Takes the arguments of `aggregate_kl`, with any posterior.

    Returns:
      "kl_by_variable": mean over x of KL(q(z|x) || p(z)) in nats, for each latent variable. Of length 1 where only the
        joint KL is known (estimated from one z per x where it has no closed form); None where q is not a density.
      "kl": the sum of these, or None.
      "unused_share": share of latent variables with a KL below 0.01 nats; without a KL, of inactive code dimensions.
      "active_units", "num_units": code dimensions with a variance over x above 0.01, and all code dimensions. Where no
        prior sets the scale of z (q is not a density, or is over a codebook), 0.01 is a share of the largest variance.
      "mutual_information": I(x; z) under q in nats, as in `aggregate_kl`; None where q has no density at any z.
      "decoder_variation": variance over x of the reconstruction from the code, as a share of the data's variance, both
        summed over (observed) values. 0: the decoder ignores z; near 1: reconstructions vary as the data do. None for
        sequences.
      "warning": "", or a sentence with these numbers on the first condition that holds. All latent variables have a KL
        below 0.01 nats, or the mutual information is below 0.05 nats; the decoder's variation is below 1%; more than
        half of the latent variables have a KL below 0.01 nats; more than half of the units are inactive (in R^n and
        with a KL only).

    Raises:
      UserError: fewer than 2 examples, or `num_rows` below 1.
    """
    batches = [as_batch(batch) for batch in batches]
    check_size(sum(len(batch["x"]) for batch in batches), num_rows, at_least=2)

    @jax.jit
    def of_batch(batch):
        x, context = batch["x"], context_args(batch.get("context"))
        posterior, prior = encode_batch(model, params, batch), model.prior(params, *context)
        codes = centre(posterior)
        groups = _kl_groups(posterior, prior) if model.latent.is_density else None
        # The variance of sequences has no meaning: they are sampled, or padded.
        return codes, x if model.data.is_sequential else model.decode(params, codes, *context).mean, groups

    codes, groups = [], []
    seen = [np.ones(batch["x"].shape, bool) if "mask" not in batch else np.asarray(batch["mask"]) for batch in batches]
    counts = np.maximum(sum(each.sum(axis=0) for each in seen), 1)
    moments = np.zeros((2, 2, *model.data_shape))  # [first or second, data or decoded, ...]
    shift = np.asarray(batches[0]["x"][0], np.float64)  # near the data, so that second moments keep their precision
    for batch, observed in zip(batches, seen, strict=True):
        x, (code, decoded, group) = batch["x"], of_batch(batch)
        codes.append(np.asarray(code).reshape(len(x), -1))
        groups.append(group)
        both = np.stack([np.asarray(x, np.float64), np.asarray(decoded, np.float64)]) - shift
        both = np.where(observed, both, 0.0)
        moments += np.stack([both.sum(axis=1), np.square(both).sum(axis=1)]) / counts
    data, decoded = np.sum(moments[1] - np.square(moments[0]), axis=tuple(range(1, 1 + len(model.data_shape))))

    encoded = encode_batches(model, params, key, batches) if model.latent.is_density else None
    kl = None
    if encoded is not None:
        kl = np.asarray([encoded.log_posterior.mean() - encoded.log_prior.mean()])
        if groups[0] is not None:
            kl = np.concatenate(groups, axis=1, dtype=np.float64).mean(axis=1)
    centres = np.concatenate(codes, dtype=np.float64)
    scaled = model.latent.is_density and not model.latent.space.is_discrete
    active = active_units(centres, ACTIVE_VARIANCE * (1 if scaled else centres.var(axis=0).max()))["active_units"]
    units = centres.shape[1]
    information = None
    if encoded is not None and model.latent.knows_density:
        information = split_kl(model, params, encoded, num_rows, memory_mb)["mutual_information"]
    report = {
        "kl_by_variable": None if kl is None else kl.tolist(),
        "kl": None if kl is None else float(np.sum(kl)),
        "unused_share": 1 - active / units if kl is None else float(np.mean(kl < UNUSED_NATS)),
        "active_units": active,
        "num_units": units,
        "mutual_information": information,
        "decoder_variation": None if model.data.is_sequential else float(decoded / data) if data > 0 else 0.0,
    }
    return {**report, "warning": _warning(report, model.latent.space)}


def _warning(report: dict[str, Any], space: Space) -> str:
    kl, information, active, units = (report[k] for k in ("kl", "mutual_information", "active_units", "num_units"))
    unused, variation = report["unused_share"], report["decoder_variation"]
    numbers = [f"{active} of {units} units are active"]
    if kl is not None:
        terms = len(report["kl_by_variable"])
        numbers.append(
            f"{round(unused * terms)} of {terms} KL terms are below {UNUSED_NATS} nats, in all {kl:.3g} nats"
        )
    if information is not None:
        numbers.append(f"x and z share {information:.3g} nats")
    if variation is not None:
        share = f"{100 * variation:.3g}% of" if variation < 1 else "more than"
        numbers.append(f"the decoder's outputs vary by {share} the data's variance")
    known = f" ({'; '.join(numbers)})."
    if (information is not None and information < UNINFORMATIVE_NATS) or (kl is not None and unused == 1):
        return f"Posterior collapse: q(z|x) hardly depends on x{known}"
    if variation is not None and variation < IGNORED:
        return f"The decoder ignores z{known}"
    if kl is not None and unused > MOST:
        return f"More than half of the latent variables are not used{known}"
    if kl is not None and space.is_linear and active < units * (1 - MOST):  # other spaces have another scale
        return f"More than half of the units are not active{known}"
    return ""


def _kl_groups(posterior: Distribution, prior: Distribution) -> Array | None:
    try:
        return kl_by_group(posterior, prior)
    except UserError:  # no closed form
        return None
