"""Clusters of a model whose prior is a mixture: the component c of z."""

import jax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.distributions.components import component_log_probs, num_components
from jaxvae.models.base import Model, centre, context_args, encode_batch, example_batch, with_state
from jaxvae.models.facts import Batch, Labels


def num_clusters(model: Model) -> int:
    """Return the number of components of the model's prior, 0 where it is not a mixture."""
    found = []

    def build(key):
        params_key, state_key = jax.random.split(key)
        params = with_state(model.init(params_key), model.state.init(state_key))
        context = example_batch(model, 1).get("context")
        found.append(num_components(model.prior(params, *context_args(context))))
        return ()

    jax.eval_shape(build, jax.random.key(0))  # nothing is computed
    return found[0]


def needs_clusters(model: Model, what: str) -> None:
    """Raise UserError where the prior is not a mixture; `what` begins the sentence."""
    if not num_clusters(model):
        raise UserError(
            f"{what} needs a prior that is a mixture, whose components are the clusters: take "
            "model.prior=mixture_of_gaussians, or nested_mixture."
        )


def of_components(model: Model, labels: Labels | None) -> Labels:
    """Return the labels for a mixture prior with a component for each class; raise UserError where either lacks."""
    if labels is None:
        raise UserError(
            "objective.use_labels is True, but the data has no labels of at least two classes: give them (data.label "
            "names those of your own file), or set it to False."
        )
    if (found := num_clusters(model)) != labels.num:
        has = f"a mixture of {found} components" if found else "not a mixture"
        raise UserError(
            f"objective.use_labels=True gives a component of the prior to each of the {labels.num} classes, but the "
            f"prior is {has}: set model.prior=mixture_of_gaussians and model.prior.components={labels.num}; "
            "adversarial_autoencoder needs train.freeze=model.prior too."
        )
    return labels


def cluster_log_probs(model: Model, params: Params, batch: Batch) -> Array:
    """Compute log q(c|x) of each component c of the prior, `[B, C]` nats: log p(c|z) at the centre of q(z|x).

    Jiang et al. 2017, arXiv:1611.05148, equation 16.
    """
    prior = model.prior(params, *context_args(batch.get("context")))
    z = centre(encode_batch(model, params, batch))
    return jax.nn.log_softmax(component_log_probs(prior, z))
