"""Further groups of parameters: each is drawn by itself, and follows the gradient of its own loss alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import optax
import pytest

from jaxvae import objectives, train
from jaxvae.common.errors import UserError
from jaxvae.train.gradients import gradients


def adversarial(model):
    """A critic tells codes from draws of the prior; the model pays for what it finds."""

    def terms(params, batch, key, ctx, groups):
        del ctx
        pass_key, prior_key = jax.random.split(key)
        out = model.forward(params, pass_key, batch)
        real = out.prior.sample(prior_key, out.z.shape[1:2])
        judge = lambda z: z @ groups["critic"]["weight"]  # noqa: E731
        reconstruction = -out.log_likelihood[0]
        loss = reconstruction + judge(out.z[0])
        return out, {"loss": loss, "reconstruction": reconstruction}, {"critic": judge(real) - judge(out.z[0])}

    return objectives.of_model(model, terms, groups={"critic": lambda key: {"weight": jax.random.normal(key, (2,))}})


def test_each_group_follows_its_own_loss_alone():
    model = tools.small()
    objective = adversarial(model)
    params, extra = objective.init(jax.random.key(0))
    assert params.keys() == {"model", "critic"}
    jax.tree.map(
        np.testing.assert_array_equal, params["model"], tools.make("elbo", model).init(jax.random.key(0))[0]["model"]
    )
    batch, key = {"x": jnp.asarray(tools.X)}, functools.partial(jax.random.key, 1)
    optimizer = optax.sgd(0.1)
    state = train.init_state(objective, optimizer, jax.random.key(0))
    pass_key, prior_key = jax.random.split(jax.random.split(key())[0])
    out = model.forward(params["model"], pass_key, batch)
    wanted = np.mean(np.asarray(out.prior.sample(prior_key, (5,))) - np.asarray(out.z[0]), axis=0)
    found = jax.grad(lambda p: jnp.mean(objective.loss(p, extra, batch, key(), tools.CTX).losses["critic"]))(params)[
        "critic"
    ]["weight"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    of_loss = {
        name: jax.grad(lambda p, name=name: jnp.mean(objective.loss(p, extra, batch, key(), tools.CTX).losses[name]))(
            params
        )
        for name in ("model", "critic")
    }
    step_gradients = gradients(objective, params, extra, batch, key(), tools.CTX)[0]
    for name, other in (("model", "critic"), ("critic", "model")):
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7),
            step_gradients[name],
            of_loss[name][name],
        )
        slopes = jax.tree.leaves(of_loss[other][name])
        assert any(np.any(np.asarray(slope) != 0) for slope in slopes), "the other loss has a slope there too"
    assert state.params.keys() == {"model", "critic"}


def test_a_group_is_drawn_by_its_name_alone():
    model = tools.small()
    make = lambda key: {"weight": jax.random.normal(key, (2,))}  # noqa: E731
    terms = lambda *_: None  # noqa: E731
    alone = objectives.of_model(model, terms, groups={"critic": make}).init(jax.random.key(0))[0]
    both = objectives.of_model(model, terms, groups={"other": make, "critic": make}).init(jax.random.key(0))[0]
    np.testing.assert_array_equal(alone["critic"]["weight"], both["critic"]["weight"])
    assert np.any(both["other"]["weight"] != both["critic"]["weight"])
    with pytest.raises(ValueError, match="cannot be called 'model'"):
        objectives.of_model(model, terms, groups={"model": make})


@pytest.mark.parametrize(
    ("metrics", "losses", "said"),
    [
        (("loss", "reconstruction"), (), r"groups of parameters \['critic', 'model'\], but losses of \['model'\]"),
        (("loss", "reconstruction"), ({"critik": 0.0},), r"but losses of \['critik', 'model'\]"),
        (("reconstruction",), ({"critic": 0.0},), r"report \['reconstruction'\], but no 'loss'"),
    ],
)
def test_an_objective_without_the_loss_of_a_group_is_refused(metrics, losses, said):
    model, optimizer = tools.small(), optax.sgd(0.1)

    def terms(params, batch, key, ctx, groups):
        del ctx, groups
        out = model.forward(params, key, batch)
        return out, dict.fromkeys(metrics, -out.log_likelihood[0]), *losses

    objective = objectives.of_model(model, terms, groups={"critic": lambda key: jax.random.normal(key, (2,))})
    step = train.make_step(objective, optimizer, lambda key, x: x, 100)
    with pytest.raises(UserError, match=said):
        jax.eval_shape(
            lambda: step(train.init_state(objective, optimizer, jax.random.key(0)), {"x": jnp.asarray(tools.X)})
        )


def test_fixed_parameters_are_state_that_no_gradient_reaches():
    model = tools.small()

    def terms(params, batch, key, ctx, groups):
        del ctx
        out = model.forward(params, key, batch)
        loss = -out.log_likelihood[0] + out.z[0] @ groups["direction"]["weight"]
        return out, {"loss": loss, "reconstruction": -out.log_likelihood[0]}

    make = lambda key: {"weight": jax.random.normal(key, (2,))}  # noqa: E731
    objective = objectives.of_model(model, terms, fixed={"direction": make})
    params, extra = objective.init(jax.random.key(0))
    assert (params.keys(), extra.keys()) == ({"model"}, {"direction"})
    loss = lambda extra: objective.loss(params, extra, {"x": jnp.asarray(tools.X)}, jax.random.key(1), tools.CTX)  # noqa: E731
    slope = jax.grad(lambda extra: jnp.sum(loss(extra).losses["model"]))(extra)["direction"]["weight"]
    np.testing.assert_array_equal(slope, 0)
    moved = loss({"direction": {"weight": extra["direction"]["weight"] + 1}})
    assert np.all(np.asarray(moved.losses["model"]) != np.asarray(loss(extra).losses["model"]))
    np.testing.assert_array_equal(loss(extra).extra["direction"]["weight"], extra["direction"]["weight"])
    with pytest.raises(ValueError, match="cannot be called 'model'"):
        objectives.of_model(model, terms, fixed={"model": make})
