"""`train.pretrain_epochs`: a run that starts from an autoencoder of its own and a prior fitted to the codes."""

import ast
import shutil
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture
from stage_tools import same, steps, trains_vade, weights

import jaxvae
from jaxvae.data import load_data
from jaxvae.experiment.plain import load_config
from jaxvae.models import centre
from jaxvae.runs.restore import restore_run

SMALL = (
    "--config.train.num_epochs=2", "--config.train.pretrain_epochs=4", "--config.train.eval_every_epochs=2",
    "--config.train.cluster_epochs=0",
    "--config.network.hidden=(30,)", "--config.model.latent_dim=3", "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2",
)  # fmt: skip


def trains(workdir, *more):
    return trains_vade(workdir, *SMALL, *more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "vade"
    assert trains(workdir) == 0
    return workdir


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_run_starts_from_the_autoencoder_and_a_mixture_of_its_codes(trained):
    stage, start = restore_run(trained / "pretrain"), weights(trained, "0")
    of_stage = weights(trained / "pretrain", "best")
    others = [{key: value for key, value in each.items() if ".prior." not in key} for each in (start, of_stage)]
    assert same(*others)
    assert all(np.any(start[key] != of_stage[key]) for key in start.keys() - others[0].keys())
    config = load_config(trained / "pretrain")
    assert config["objective"] == {"name": "reconstruction", "at_centre": True}
    assert config["train"]["num_epochs"] == 4
    x = load_data(load_config(trained)["data"]).train.x / np.float32(16)
    codes = np.asarray(centre(jax.jit(stage.model.encode)(stage.params, x)))
    run = restore_run(trained, "0")
    prior: Any = run.model.prior(run.params)
    # As likely as another fit of this kind, and far likelier than one Gaussian.
    fitted, one = (
        GaussianMixture(num, covariance_type="diag", n_init=5, random_state=0).fit(codes).score(codes)
        for num in (10, 1)
    )  # fmt: skip
    assert np.mean(prior.log_prob(codes)) == pytest.approx(fitted, abs=0.1 * (fitted - one))
    assert not same(weights(trained, "last"), start)


@pytest.mark.parametrize("left", ["stage alone", pytest.param("a part of the stage", marks=pytest.mark.slow)])
def test_a_run_that_was_killed_ends_with_the_same_bits(trained, copy, left, capsys):
    """Its folder is as a kill leaves it: before the first checkpoint of the run, or in the stage."""
    shutil.rmtree(copy / "checkpoints")
    if left == "a part of the stage":
        for step in steps(copy / "pretrain")[1:]:
            shutil.rmtree(copy / "pretrain" / "checkpoints" / str(step))
    (copy / "results.json").unlink()
    capsys.readouterr()
    assert trains(copy) == 0
    assert "The run is finished" not in capsys.readouterr().err
    assert steps(copy) == steps(trained)
    for which in ("0", "last"):
        assert same(weights(copy, which), weights(trained, which))
    assert same(weights(copy / "pretrain", "last"), weights(trained / "pretrain", "last"))


def test_only_the_part_of_z_that_is_decoded_is_fitted(workdir):
    """The prior of the GMVAE, with w: its means and variances are those of codes z, its network is as drawn."""
    nested = ("--config.model.prior=nested_mixture", "--config.model.prior.noise_dim=2", "--config.objective=gmvae")
    nested = (*nested, "--config.train.pretrain_masking=0.2")
    assert trains(workdir, *nested, "--config.train.num_epochs=1", "--config.model.latent_dim=5") == 0
    denoising = {"name": "denoising", "noise": "masking", "level": 0.2, "at_centre": True}
    assert load_config(workdir / "pretrain")["objective"] == denoising
    start, of_stage = weights(workdir, "0"), weights(workdir / "pretrain", "best")
    assert start["params.model.prior.mean"].shape == start["params.model.prior.logvar"].shape == (10, 3)
    assert start["params.model.decoder.Dense_0.kernel"].shape == (3, 30)
    assert np.array_equal(start["params.model.decoder.Dense_0.kernel"], of_stage["params.model.decoder.Dense_0.kernel"])


@pytest.mark.slow
def test_a_run_in_memory_has_the_same_bits_and_can_be_saved(trained, tmp_path):
    settings = {key: value for key, _, value in (each.removeprefix("--config.").partition("=") for each in SMALL)}
    whole = {key: ast.literal_eval(value) for key, value in settings.items() if value}
    run = jaxvae.fit("vade", settings={**whole, "evaluate.metrics": ""}, progress=False)
    run.save(tmp_path / "saved")
    assert same(weights(tmp_path / "saved", "last"), weights(trained, "last"))


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_need_the_stage(trained, copy):
    shutil.rmtree(copy / "pretrain")
    assert trains(copy, "--config.train.num_epochs=4") == 0
    assert not (copy / "pretrain").exists()
    assert steps(copy)[-1] == 2 * steps(trained)[-1]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ("--config.objective=elbo", "--config.model.prior=standard_normal"),
            "the prior 'standard_normal' cannot be fitted to the codes of an autoencoder. Priors that can, without a "
            "context: mixture_of_gaussians, nested_mixture.",
        ),
        (
            ("--config.data.context=label", "--config.context.prior=True"),
            "'mixture_of_gaussians' cannot be fitted to the codes of an autoencoder at each context",
        ),
        (
            (
                "--config.objective=m2",
                "--config.data.context=label",
                "--config.data.labels=100",
                "--config.objective.kl_estimate=monte_carlo",
            ),
            "which an autoencoder needs for every training example, and 7.73% have one. Set train.pretrain_epochs=0",
        ),
        (
            ("--config.stage_of=jaxvae/zoo/vae-digits", "--config.model.likelihood=gaussian"),
            "but stage_of names the first stage of this run already, 'jaxvae/zoo/vae-digits'",
        ),
        (("--config.train.start_from=/nowhere",), "'/nowhere' holds no run"),
        (("--config.train.pretrain_epochs=-1",), "train.pretrain_epochs is -1"),
    ],
)
def test_what_is_refused_before_training(workdir, refused, more, told):
    assert told in refused("--config=configs/vade.py", *SMALL, *more)
    assert not workdir.exists()


def test_the_number_of_epochs_of_the_stage_cannot_change(copy, refused):
    assert "train.pretrain_epochs: 4 there, 5 now" in refused(
        "--config=configs/vade.py", *SMALL, "--config.train.pretrain_epochs=5", f"--workdir={copy}"
    )
