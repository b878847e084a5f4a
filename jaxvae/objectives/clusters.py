"""Objectives for clusters: the component c of a mixture prior is a latent of its own, summed over exactly."""

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.distributions.components import component_kls, component_log_probs, component_logits
from jaxvae.losses import MixtureKL
from jaxvae.models.base import Model, Pass
from jaxvae.models.clusters import needs_clusters, of_components
from jaxvae.models.facts import Labels
from jaxvae.objectives.base import Objective, bound_metrics, of_model
from jaxvae.objectives.elbo import check_samples, check_weights, needs_density
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight

HOLDING = "use_labels"  # the option of these objectives that holds examples in the components of their labels
IMPOSSIBLE = -1e9  # logit of a component that an example does not have; finite, for its gradients


def vade(
    model: Model,
    kl: KLWeight = UNWEIGHTED,
    num_samples: int = 1,
    use_labels: bool = False,
    data_labels: Labels | None = None,
) -> Objective:
    """Negative ELBO with the clusters of a mixture prior as latents: VaDE (Jiang et al. 2017, arXiv:1611.05148).

    With q(c|x) the mean of p(c|z) over samples of z (equation 16), the KL is
    sum_c q(c|x) KL(q(z|x) || p(z|c)) + KL(q(c|x) || p(c)), in closed form (equations 12 and 13). Their initialisation
    by an autoencoder and a mixture fitted to its codes is the setting `train.pretrain_epochs`.

    Args:
      model: its prior is a mixture; the KL of its posterior to a component has a closed form.
      kl: weight of the KL, of the groups of variables z and c; the metric "elbo" keeps weight 1.
      num_samples: samples of z per example.
      use_labels: whether an example whose label is known belongs to the component of its class, the first in
        ascending order to the first: then q(c|x) is 1 there, and the ELBO is that of log p(x, c). In training alone;
        validation and test treat every label as unknown.
      data_labels: the classes, where the data has labels.

    Raises:
      UserError: the prior is not a mixture, no closed form is known, the posterior is a point, or no samples; labels
        asked for, but the data has none, or the prior has not a component for each class.
    """
    labels = of_components(model, data_labels) if use_labels else None
    return _of_components("vade", model, kl, num_samples, labels, averages=True)


def gmvae(
    model: Model,
    kl: KLWeight = UNWEIGHTED,
    num_samples: int = 1,
    minimum_information: float = 0.0,
    use_labels: bool = False,
    data_labels: Labels | None = None,
) -> Objective:
    """Negative ELBO of the Gaussian-mixture VAE (Dilokthanakul et al. 2016, arXiv:1611.02648).

    q(c|z, w) = p(c|z, w) at each sample of z and w, by Bayes' rule, and the KL is the mean over the samples of
    KL(q(w|x) || p(w)) + sum_c q(c|z, w) KL(q(z|x) || p(z|w, c)) + KL(q(c|z, w) || p(c)). It is made for the prior
    'nested_mixture', and takes any mixture.

    Args:
      model: as in `vade`.
      kl: as in `vade`.
      num_samples: samples of z and w per example.
      minimum_information: nats, the least value of the last term in the loss, the paper's constraint: below it the
        term has no gradient, so that examples need not lie between all clusters.
      use_labels: as in `vade`.
      data_labels: as in `vade`.

    Raises:
      UserError: as `vade`; `minimum_information` is below 0.
    """
    check_weights("gmvae", minimum_information=minimum_information)
    labels = of_components(model, data_labels) if use_labels else None
    return _of_components("gmvae", model, kl, num_samples, labels, minimum_information=minimum_information)


OF_COMPONENTS = (vade, gmvae)  # objectives with q(c|x)


def _of_components(
    name: str,
    model: Model,
    kl: KLWeight,
    num_samples: int,
    labels: Labels | None,
    averages: bool = False,
    minimum_information: float = 0.0,
) -> Objective:
    needs_density(model, name)
    check_samples(name, num_samples=num_samples)
    needs_clusters(model, f"The objective '{name}'")

    def terms(params, batch, key, ctx):
        out = model.forward(params, key, batch, num_samples, is_training=ctx.is_training)
        index = labels.index(batch.get("label", jnp.full(len(batch["x"]), -1))) if labels and ctx.is_training else None
        both = _kl(name, out, averages, index)
        metrics = bound_metrics(model, out.log_likelihood, both.components + both.classes)
        groups = jnp.stack([both.components, jnp.maximum(both.classes, minimum_information)])
        loss = metrics["reconstruction"] + kl.term(groups, ctx.step)
        return out, {"loss": loss, **metrics, "kl_classes": both.classes}

    return of_model(model, terms, kl.whole_batch)


def _kl(name: str, out: Pass, averages: bool, index: Array | None) -> MixtureKL:
    """Return both terms of the KL, `[B]` nats, with q(c|x) of each sample, or averaged over the samples first.

    Where the component `index` `[B]` of an example is known, not -1, q(c|x) is 1 there.
    """
    log_q = jax.nn.log_softmax(component_log_probs(out.prior, out.z))
    if averages:
        log_q = jax.nn.logsumexp(log_q, axis=0, keepdims=True)  # but for a constant, which `mixture_kl` leaves out
    if index is not None:
        known = IMPOSSIBLE * (1 - jax.nn.one_hot(index, log_q.shape[-1]))
        log_q = jnp.where(index[:, None] >= 0, known, log_q)
    try:
        kls = component_kls(out.posterior, out.prior, out.z)
    except UserError as error:
        raise UserError(
            f"The objective '{name}' needs the KL of q(z|x) to each component in closed form: take the posterior "
            "'diagonal_gaussian' with the prior 'mixture_of_gaussians', or the objective 'elbo' with "
            "objective.kl_estimate=monte_carlo."
        ) from error
    kls, log_q = jnp.broadcast_arrays(kls, log_q)
    prior: Array = component_logits(out.prior)
    by_sample = jax.vmap(losses.mixture_kl, in_axes=(0, 0, None))(kls, log_q, prior)
    return MixtureKL(*(jnp.mean(term, axis=0) for term in by_sample))
