"""VAE-GAN: encoder, decoder and discriminator follow the losses of the paper's algorithm, written here by hand."""

import adversary_tools as adversaries
import gradient_tools as gt
import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from gradient_tools import X

from jaxvae import likelihoods, posteriors
from jaxvae.common.errors import UserError
from jaxvae.distributions.kl import analytic_kl
from jaxvae.models.base import draw

GAMMA = 0.3


def layers(params, x):
    first = jnp.tanh(x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])
    second = jnp.tanh(first @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"])
    return first, second, (second @ params["Dense_2"]["kernel"] + params["Dense_2"]["bias"])[:, 0]


def parts(model, params, encoder=None, discriminator=None):
    """KL, feature distance and scores of data, reconstructions and decoded draws of the prior, `[5]` each."""
    encoder, discriminator = encoder or params["model"], discriminator or params["discriminator"]
    pass_key, prior_key, *_ = jax.random.split(gt.terms_key(), 4)
    q = model.encode(encoder, X)
    z, _ = draw(pass_key, q, 1)
    again = model.decode(params["model"], z[0]).mean
    drawn = model.decode(params["model"], model.prior(params["model"]).sample(prior_key, (len(X),))).mean
    of = [layers(discriminator, x) for x in (X, again, drawn)]
    distance = jnp.sum((of[0][1] - of[1][1]) ** 2, axis=-1) / 2
    return analytic_kl(q, model.prior(params["model"])), distance, [scores for *_, scores in of]


def test_each_part_follows_its_own_loss():
    with jax.enable_x64(True):
        model = gt.small()
        objective = tools.make("vae_gan", model, gamma=GAMMA)
        at = gt.point(objective)
        gradient = adversaries.found(objective, at)

        def of_encoder(encoder):
            kl, distance, _ = parts(model, at.params, {**at.params["model"], "encoder": encoder})
            return jnp.mean(kl + distance)

        def of_decoder(decoder):
            encoder = {**at.params["model"]}
            params = {**at.params, "model": {**encoder, "decoder": decoder}}
            _, distance, (_, again, drawn) = parts(model, params, encoder)
            return jnp.mean(GAMMA * distance + (jax.nn.softplus(-again) + jax.nn.softplus(-drawn)) / 2)

        def of_discriminator(discriminator):
            _, _, (real, again, drawn) = parts(model, at.params, discriminator=discriminator)
            fake = (jax.nn.softplus(again) + jax.nn.softplus(drawn)) / 2
            return jnp.mean(jax.nn.softplus(-real) + fake)

        adversaries.assert_follows(gradient["model"]["encoder"], at.params["model"]["encoder"], of_encoder)
        adversaries.assert_follows(gradient["model"]["decoder"], at.params["model"]["decoder"], of_decoder)
        adversaries.assert_follows(gradient["discriminator"], at.params["discriminator"], of_discriminator)
        adversaries.assert_no_leak(objective, at)


def test_the_loss_and_the_metrics(random_like):
    model = tools.small()
    objective = tools.make("vae_gan", model, gamma=GAMMA, loss="least_squares")
    params, _ = random_like(objective.init, jax.random.key(0))
    metrics = tools.evaluate(objective, params).metrics
    wanted = metrics["kl"] + GAMMA * metrics["feature_distance"] + metrics["generator_loss"]
    np.testing.assert_allclose(metrics["loss"], wanted, rtol=1e-5)
    assert {"reconstruction", "elbo", "discriminator_loss"} <= metrics.keys()
    assert set(metrics["discriminator_accuracy"]) <= {0.0, 0.25, 0.5, 0.75, 1.0}


def test_the_first_layer_can_be_compared(random_like):
    model = tools.small()
    objective = tools.make("vae_gan", model, layer=0)
    params, _ = random_like(objective.init, jax.random.key(0))
    found = tools.evaluate(objective, params).metrics["feature_distance"]
    key, _, _, _ = jax.random.split(jax.random.split(jax.random.key(1))[0], 4)
    out = model.forward(params["model"], key, {"x": tools.X})
    ours, theirs = (layers(params["discriminator"], x)[0] for x in (tools.X, out.likelihood.mean[0]))
    np.testing.assert_allclose(found, jnp.sum((ours - theirs) ** 2, axis=-1) / 2, rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (lambda: tools.small(posterior=posteriors.delta), {}, "needs a posterior with a density"),
        (lambda: tools.small(lambda: likelihoods.gaussian(learn="shared")), {}, "keep its initial value"),
        (lambda: tools.small(likelihoods.poisson), {}, "means of counts or categories are unlike data"),
        (tools.small, {"gamma": -1.0}, "gamma is -1.0"),
        (tools.small, {"r1": -1.0}, "r1 is -1.0"),
        (tools.small, {"layer": 2}, "the discriminator has 2 hidden layers"),
        (tools.small, {"loss": "hinges"}, "Did you mean 'hinge'"),
    ],
)
def test_what_does_not_fit_is_refused(model, options, said):
    with pytest.raises(UserError, match=said):
        tools.make("vae_gan", model(), **options)


def test_missing_values_are_filled_in_the_generated_examples_too(random_like):
    """No loss depends on what a model makes of them, and a discriminator cannot tell data by its gaps."""
    objective = tools.make("vae_gan", tools.small())
    params, _ = random_like(objective.init, jax.random.key(0))
    mask = np.arange(30).reshape(5, 6) % 3 > 0

    def losses(x):
        batch = {"x": jnp.asarray(x), "mask": jnp.asarray(mask)}
        return jax.jit(lambda: objective.loss(params, {}, batch, jax.random.key(1), tools.CTX).losses)()

    first, other = losses(tools.X), losses(np.where(mask, tools.X, 0.7))
    jax.tree.map(np.testing.assert_array_equal, first, other)
