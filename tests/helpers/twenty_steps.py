"""Twenty training steps on the digits, for comparing devices, hosts and ways to compile; also a script.

python tests/helpers/twenty_steps.py OUT.npz jit --coordinator=HOST:PORT --num_processes=2 --process_id=0
"""

import sys
from functools import partial

import jax
import numpy as np
import optax

from jaxvae import data, losses, objectives, train
from jaxvae.data.spec import DataSpec
from jaxvae.distributions.kl import analytic_kl
from jaxvae.experiment import build, defaults
from jaxvae.train import sharding

STEPS, BATCH = 20, 64


def given_noise(model):
    """The ELBO with the noise of each example taken from its data, so that every way to split a batch sees the same."""

    def loss(params, extra, batch, key, ctx):
        del key, ctx
        posterior = model.encode(params["model"], batch["x"])
        noise = jax.random.normal(jax.random.key(7), (10, *model.latent_shape))[batch["label"]]
        z = posterior.mean + posterior.variance**0.5 * noise
        kl = analytic_kl(posterior, model.prior(params["model"]))
        minimised = -losses.elbo(model.decode(params["model"], z).log_prob(batch["x"]), kl)
        return objectives.Loss({"model": minimised}, {"loss": minimised}, extra)

    return objectives.Objective(lambda key: ({"model": model.init(key)}, {}), loss)


def elbo(model):
    return objectives.elbo(model, objectives.KL_WEIGHTS["constant"]())


def run(parallel: sharding.Parallel, make_objective=elbo) -> dict[str, np.ndarray]:
    """The losses and the flat parameters after STEPS steps."""
    config = defaults.get_config("test").to_dict()
    dataset = data.load()
    model = build.model(config, DataSpec(dataset.shape))
    objective, optimizer = make_objective(model), optax.adam(1e-3)
    preprocess = data.make_preprocess(dataset.max_value, "dynamic" if make_objective is elbo else "none", (0, 1))
    feed = data.make_feed(dataset.train, BATCH, seed=0)
    key = jax.random.key(0)
    state = parallel.replicate(jax.jit(partial(train.init_state, objective, optimizer))(key))
    trainer = train.make_trainer(objective, optimizer, preprocess, feed, parallel)
    state, metrics = trainer(state, 0, STEPS)
    leaves = jax.tree.leaves(jax.device_get(parallel.collect(state).params))
    return {"loss": np.asarray(metrics["loss"]), "params": np.concatenate([leaf.ravel() for leaf in leaves])}


if __name__ == "__main__":
    out, mode, *host = sys.argv[1:]
    coordinator, num_processes, process_id = (flag.partition("=")[2] for flag in host)
    sharding.start_hosts(coordinator, int(num_processes), int(process_id))
    result = run(sharding.make_parallel(mode, BATCH), elbo if mode == "jit" else given_noise)
    if jax.process_index() == 0:
        np.savez(out, devices=jax.device_count(), **result)
