"""What a mistaken flag, key, option or name is told: the one that is meant."""

import re

import pytest

from jaxvae.api.suggestions import nearest_key
from jaxvae.common.errors import SYNONYMS
from jaxvae.evaluation.table import METRICS
from jaxvae.experiment.build import PARTS
from jaxvae.experiment.defaults import SETTINGS

VAE = "--config=vae"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("epochs", "train.num_epochs"),
        ("train.num_steps", "train.num_epochs"),
        ("batch_size", "train.batch_size"),
        ("lr", "optimizer.learning_rate"),
        ("z_dim", "model.latent_dim"),
        ("train.learning_rate", "optimizer.learning_rate"),
        ("train.batchsize", "train.batch_size"),
        ("posterior", "model.posterior"),
        ("evaluate.batchsize", "evaluate.batch_size"),
        ("warmup", "optimizer.warmup_steps"),
        ("data.binarisation", "data.binarization"),
        ("xyzzy", ""),
    ],
)
def test_the_nearest_setting(given, meant):
    assert nearest_key(given, SETTINGS) == meant


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--epochs=5", r"Unknown flag 'epochs'\. Did you mean --config\.train\.num_epochs=5\?"),
        ("--lr=1e-4", r"Did you mean --config\.optimizer\.learning_rate=1e-4\?"),
        ("--wokdir=x", r"Unknown flag 'wokdir'\. Did you mean 'workdir'\?"),
        ("--xyzzy=1", r"Unknown flag 'xyzzy'\. Known: config, coordinator"),
        ("--config.beta=4", r"Unknown config key 'beta'\. Did you mean 'kl\.beta'\?"),
        ("--config.model.beta=4", r"Unknown option 'beta' of the model 'vae'\. Did you mean 'kl\.beta'\?"),
        (
            "--config.model.latent=3",
            r"'model\.latent_dim'\? Known: latent_dim, likelihood, posterior, prior\.",
        ),
        ("--config.objective.beta=4", r"option 'beta' of the objective 'elbo'\. Did you mean 'kl\.beta'\? Known: num_"),
        (
            "--config.objective.kl_estimator=analytic",
            r"Did you mean 'objective\.kl_estimate'\? Known: num_samples, kl_",
        ),
        ("--config.network.kernel=3", r"'kernel' of the network 'mlp'\. .*Known: hidden, activation"),
        ("--config.num_flows=3", r"Did you mean 'model\.(prior|posterior)\.num_flows', an option of .*flow"),
        ("--config.evaluate.metrics=fid", r"Unknown metric 'fid'\. Did you mean 'frechet'\?"),
        ("--config.model.posterior=iaf", r"Unknown posterior 'iaf'\. Did you mean 'inverse_autoregressive_flow'\?"),
        ("--config.objective.discriminator.kernel=4", r"'elbo' does not take a discriminator, .*one: vae_gan"),
        ("--config.objective.discriminator.x.y=4", r"Unknown config key 'objective\.discriminator\.x\.y'"),
        ("--config.model.likelihood=mse", r"Did you mean 'squared_error'\?"),
    ],
)
def test_a_mistake_is_told_what_is_meant(refused, workdir, argument, said):
    message = refused(VAE, argument)
    assert re.search(said, message), message
    assert not workdir.exists()


def test_the_list_of_known_keys_holds_the_options_of_this_config(refused):
    known = refused("--config=conv_vae", "--config.xyzzy=1").partition("Known: ")[2]
    assert all(f" {key}," in known for key in ("network.hidden", "kl.beta", "objective.num_samples", "train.remat"))


@pytest.mark.parametrize(("given", "meant"), [("vae:mnsit", "'mnist'"), ("vae:fashion_mnst", "'fashion_mnist'")])
def test_a_data_set_that_is_nowhere(refused, monkeypatch, tmp_path, given, meant):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    message = refused(f"--config={given}")
    assert f"There is no data set '{given[4:]}'" in message
    assert f"Did you mean {meant}?" in message


def test_synonyms_lead_to_names_that_there_are():
    names = {key.rpartition(".")[2] for key in SETTINGS} | set(METRICS) | {n for kind in PARTS.values() for n in kind}
    assert set(SYNONYMS.values()) <= names
    assert not SYNONYMS.keys() & names - {"ae"}
