"""The adversarial autoencoder and WAE-GAN: encoder, decoder and discriminator follow their losses, written by hand."""

import adversary_tools as adversaries
import gradient_tools as gt
import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from gradient_tools import X

from jaxvae import likelihoods, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions.components import component_draws
from jaxvae.models.base import draw
from jaxvae.models.facts import Labels

LABELS = Labels((3, 5, 8))
LABEL = np.int32([5, -1, 3, 8, 5])  # one unknown
WEIGHT = 0.7


def point():
    return gt.small(lambda: likelihoods.squared_error("tanh"), posteriors.delta)


def mixture():
    return gt.small(prior=lambda dim: priors.mixture_of_gaussians(dim, 3))


def keys():
    """Of the pass, the prior's draws and the penalty, as the objective splits them; made anew for each use."""
    return jax.random.split(gt.terms_key(), 3)


def scores(params, z, beside=None):
    x = z if beside is None else jnp.concatenate([z, beside], axis=-1)
    for i in range(3):
        x = x @ params[f"Dense_{i}"]["kernel"] + params[f"Dense_{i}"]["bias"]
        x = jnp.tanh(x) if i < 2 else x
    return x[:, 0]


@pytest.mark.parametrize("name", ["wae_gan", "adversarial_autoencoder", "with labels"])
def test_each_group_follows_its_own_loss(name):
    with jax.enable_x64(True):
        labelled = name == "with labels"
        model = mixture() if labelled else point()
        options = {"data_labels": LABELS, "use_labels": True} if labelled else {}
        objective = tools.make("adversarial_autoencoder" if labelled else name, model, weight=WEIGHT, **options)
        at = gt.point(objective)
        batch = {**adversaries.BATCH, "label": jnp.asarray(LABEL)}
        gradient = adversaries.found(objective, at, batch)
        fixed = at.params["model"]
        other, beside = model.prior(fixed).sample(keys()[1], (len(X),)), None
        if labelled:
            beside = np.eye(4)[[1, 3, 0, 2, 1]]
            drawn = component_draws(model.prior(fixed), jax.random.fold_in(keys()[1], 2**31 - 3), len(X))
            other = jnp.stack([drawn[0, 1], other[1], drawn[2, 0], drawn[3, 2], drawn[4, 1]])

        def z_of(params):
            return draw(keys()[0], model.encode(params, X), 1)[0][0]

        def of_model(parts):
            params = {**fixed, **parts}
            z = z_of(params)
            nll = -model.decode(params, z).log_prob(X)
            return jnp.mean(nll + WEIGHT * jax.nn.softplus(-scores(at.params["discriminator"], z, beside)))

        def of_discriminator(params):
            real, fake = scores(params, other, beside), scores(params, z_of(fixed), beside)
            return jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(fake))

        trained = {part: fixed[part] for part in ("encoder", "decoder")}
        adversaries.assert_follows({part: gradient["model"][part] for part in trained}, trained, of_model)
        adversaries.assert_follows(gradient["discriminator"], at.params["discriminator"], of_discriminator)
        adversaries.assert_no_leak(objective, at, batch)


@pytest.mark.parametrize("name", ["wae_gan", "adversarial_autoencoder"])
def test_the_loss_and_the_metrics(name, random_like):
    objective = tools.make(name, tools.POINT, weight=WEIGHT, loss="wasserstein", gradient_penalty=1.0)
    params, _ = random_like(objective.init, jax.random.key(0))
    metrics = tools.evaluate(objective, params).metrics
    wanted = metrics["reconstruction"] + WEIGHT * metrics["generator_loss"]
    np.testing.assert_allclose(metrics["loss"], wanted, rtol=1e-5)
    assert metrics.keys() == {"loss", "reconstruction", "generator_loss", "discriminator_loss"}
    assert not objective.whole_batch


def test_a_prior_is_used_by_its_samples_alone():
    """Nothing trains its parameters: no gradient reaches them."""
    objective = tools.make("adversarial_autoencoder", mixture())
    params, extra = jax.jit(objective.init)(jax.random.key(0))

    def loss(params):
        losses = objective.loss(params, extra, {"x": tools.X}, jax.random.key(1), tools.CTX).losses
        return sum(jnp.mean(each) for each in losses.values())

    slopes = jax.jit(jax.grad(loss))(params)["model"]
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(slopes["prior"]))
    assert np.any(slopes["encoder"]["Dense_0"]["kernel"])


def test_draws_of_a_class_are_those_of_its_component():
    """A discriminator whose score is z's distance from the component of the class finds none."""
    model = gt.small(prior=lambda dim: priors.mixture_of_gaussians(dim, 3, spread=1000.0))
    params = model.init(jax.random.key(0))
    means = params["prior"]["mean"]

    def judge(shape, context_dim=0):
        def apply(_, z, context):
            distance = jnp.linalg.norm(z[:, None] - means, axis=-1)  # [B, C]
            known = jnp.sum(context[:, :-1] * distance, axis=-1)
            return jnp.where(context[:, -1] > 0, jnp.min(distance, axis=-1), known), []

        assert (shape, context_dim) == ((2,), 4)
        return tools.JUDGE(shape, context_dim)._replace(apply=apply)

    objective = tools.make(
        "adversarial_autoencoder", model, discriminator=judge, data_labels=LABELS, use_labels=True, loss="wasserstein"
    )
    groups = {"model": params, "discriminator": {}}
    batch = {"x": jnp.asarray(tools.X), "label": jnp.asarray(LABEL)}
    found = objective.loss(groups, {}, batch, jax.random.key(1), tools.CTX).metrics
    far = found["discriminator_loss"] - found["generator_loss"]  # scores of fakes less those of draws, plus the fakes'
    drawn = -(far - 2 * -found["generator_loss"])
    assert np.all(drawn < 6)  # standard deviations of a component


@pytest.mark.parametrize(
    ("name", "model", "options", "said"),
    [
        ("wae_gan", mixture, {}, "'wae_gan' uses only samples of the prior"),
        ("wae_gan", tools.gumbel_model, {}, "straight_through=True"),
        ("wae_gan", tools.small, {"weight": -1.0}, "weight is -1.0"),
        ("adversarial_autoencoder", tools.small, {"use_labels": True}, "the data has no labels of at least two"),
        (
            "adversarial_autoencoder",
            tools.small,
            {"use_labels": True, "data_labels": LABELS},
            "each of the 3 classes, but the prior is not a mixture",
        ),
        (
            "adversarial_autoencoder",
            mixture,
            {"use_labels": True, "data_labels": Labels((0, 1))},
            "each of the 2 classes, but the prior is a mixture of 3",
        ),
        ("adversarial_autoencoder", tools.small, {"loss": "hing"}, "Did you mean 'hinge'"),
    ],
)
def test_what_does_not_fit_is_refused(name, model, options, said):
    with pytest.raises(UserError, match=said):
        tools.make(name, model(), **options)
