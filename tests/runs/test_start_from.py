"""`train.start_from`: a run that begins with the parameters of another."""

import contextlib
import shutil
import time
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import launch
from jaxvae.experiment.plain import flatten
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.runs.restore import restore_run
from jaxvae.train.state import init_state

SMALL = (
    "--config.train.num_epochs=1", "--config.network.hidden=(30,)", "--config.model.latent_dim=3",
    "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2",
    "--config.train.batch_size=128",
)  # fmt: skip


def trains(config, workdir, *more):
    return launch.main(["launch.py", f"--config=configs/{config}.py", f"--workdir={workdir}", *SMALL, *more],
                       time.time())  # fmt: skip


def weights(workdir, which):
    with contextlib.closing(Reader(workdir / "checkpoints")) as reader:
        return flatten(reader.weights(which)[1])


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("other") / "vae"
    assert trains("vae", workdir, "--config.train.num_epochs=20", "--config.optimizer.ema_decay=0.9") == 0
    return workdir


def same(found, expected):
    return all(np.array_equal(found[key], value) for key, value in expected.items())


@pytest.mark.slow
def test_training_starts_from_the_best_weights_of_the_other_run(other, workdir, capsys):
    assert trains("iwae", workdir, "--config.data.binarization=none", f"--config.train.start_from={other}") == 0
    assert f"Starts from the run in '{other}', step " in capsys.readouterr().err
    best = weights(other, "best")
    assert weights(workdir, "0").keys() == best.keys()
    assert same(weights(workdir, "0"), best)
    assert not same(weights(workdir, "last"), best)


@pytest.mark.slow
def test_parts_that_the_other_run_lacks_begin_as_ever(other, workdir, capsys):
    assert trains("mog_prior", workdir, f"--config.train.start_from={other}") == 0
    fresh = workdir.parent / "fresh"
    assert trains("mog_prior", fresh) == 0
    best, started, drawn = weights(other, "best"), weights(workdir, "0"), weights(fresh, "0")
    assert same(started, best)
    new = {key: value for key, value in drawn.items() if key not in best}
    assert new
    assert all(".prior." in key for key in new)
    assert same(started, new)
    assert "; new: model.prior." in capsys.readouterr().err


@pytest.mark.slow
def test_a_codebook_and_its_statistics_are_taken_too(workdir):
    first = workdir.parent / "first"
    assert trains("vq_vae", first) == 0
    assert trains("vq_vae", workdir, f"--config.train.start_from={first}") == 0
    started, best = weights(workdir, "0"), weights(first, "best")
    assert any(key.startswith("extra.") for key in best)
    assert started.keys() == best.keys()
    assert same(started, best)


@pytest.mark.slow
def test_a_codebook_that_is_averaged_in_one_run_alone_is_named_or_refused(workdir, capsys, refused):
    averaged, learned = workdir.parent / "averaged", workdir.parent / "learned"
    codebook = "--config.model.posterior.ema=False"
    assert trains("vq_vae", learned, codebook) == 0
    assert trains("vq_vae", averaged, f"--config.train.start_from={learned}") == 0
    assert "; new: model.posterior." in capsys.readouterr().err
    nets = {k: v for k, v in weights(learned, "best").items() if ".decoder." in k or ".encoder." in k}
    assert same(weights(averaged, "0"), nets)
    more = (*SMALL, codebook, f"--config.train.start_from={averaged}")
    assert "model.posterior.counts is [128] float32 there and missing here" in refused(
        "--config=configs/vq_vae.py", *more
    )


@pytest.mark.slow
def test_a_decoder_that_is_divided_by_its_norms_starts_as_it_is_used(workdir):
    first = workdir.parent / "first"
    assert trains("rae_l2", first, "--config.objective.penalty=spectral") == 0
    assert trains("rae_l2", workdir, f"--config.train.start_from={first}") == 0
    used = flatten({"params": {"model": restore_run(first).params}})
    assert not same(weights(first, "best"), used)
    assert same(weights(workdir, "0"), used)


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["half written", "unreadable"])
def test_a_first_start_that_broke_off_starts_from_the_other_run_again(other, workdir, capsys, broken):
    assert trains("vae", workdir, f"--config.train.start_from={other}") == 0
    kept = workdir / "checkpoints" / "0"
    for folder in (workdir / "checkpoints").iterdir():
        if folder != kept:
            shutil.rmtree(folder)
    if broken == "half written":
        kept.rename(kept.with_name("0.orbax-checkpoint-tmp"))
    else:
        (kept / "info" / "metadata").write_text("{")
    capsys.readouterr()
    assert trains("vae", workdir, f"--config.train.start_from={other}") == 0
    assert f"Starts from the run in '{other}'" in capsys.readouterr().err
    assert same(weights(workdir, "0"), weights(other, "best"))


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_need_the_other(other, workdir):
    copy = workdir.parent / "copy"
    shutil.copytree(other, copy)
    assert trains("vae", workdir, f"--config.train.start_from={copy}") == 0
    before = weights(workdir, "last")
    shutil.rmtree(copy)
    assert trains("vae", workdir, f"--config.train.start_from={copy}") == 0
    assert same(weights(workdir, "last"), before)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--config.train.start_from=/nowhere",), "train.start_from cannot be used: '/nowhere' holds no run"),
        (("--config.network.hidden=(31,)",), "model.decoder.Dense_0.bias is [30] float32 there and [31] float32 here"),
        (("--config.network.hidden=(30, 30)",), "another network"),
        (("--config.model.posterior=full_covariance",), "another network"),
    ],
)
def test_what_cannot_be_started_from(other, workdir, refused, more, told):
    given = more if "start_from" in more[0] else (*more, f"--config.train.start_from={other}")
    assert told in refused("--config=configs/vae.py", *SMALL, *given)
    assert not workdir.exists()


def test_what_is_given_takes_the_place_of_what_is_drawn_and_of_nothing_else():
    drawn = {"whole": jnp.zeros(2), "parts": {"one": {"a": jnp.zeros(3), "b": jnp.zeros(1)}, "other": jnp.zeros(4)}}
    objective: Any = SimpleNamespace(init=lambda key: (drawn, {"count": jnp.zeros(())}))
    given = {"params": {"whole": np.ones(2, np.float32), "parts": {"one": {"a": np.ones(3, np.float32)}}}}
    state = init_state(objective, optax.sgd(0.1, momentum=0.9), jax.random.key(0), given)
    expected = {"whole": np.ones(2), "parts": {"one": {"a": np.ones(3), "b": np.zeros(1)}, "other": np.zeros(4)}}
    assert jax.tree.structure(state.params) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, state.params, expected)
    assert state.extra["count"] == 0
    assert state.step == 0


@pytest.mark.slow  # a run of an LSTM
def test_words_of_another_vocabulary(workdir, refused, capsys):
    first = workdir.parent / "first"
    words = ("--config.data.sequence.vocabulary_size=50",)
    assert trains("text_vae", first, "--config.network.hidden=8", *words) == 0
    capsys.readouterr()
    more = ("--config.data.sequence.vocabulary_size=60", f"--config.train.start_from={first}")
    message = refused("--config=configs/text_vae.py", *more)
    assert "its parameters belong to other words" in message
    assert not workdir.exists()
