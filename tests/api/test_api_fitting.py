"""`jaxvae.fit`, `Run` and `jaxvae.load`: the bits of the command line, data as it came, parts given as objects."""

import functools
import pickle
import shutil
import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxvae
import launch
from jaxvae import UserError, likelihoods, make_model, networks, objectives, posteriors, priors
from jaxvae.objectives import Loss, Objective
from jaxvae.runs.signals import Signals

TINY = {"network.hidden": (8,), "train.num_epochs": 2, "train.batch_size": 32, "train.steps_per_call": 5,
        "train.eval_every_epochs": 1, "model.latent_dim": 2, "evaluate.nll_samples": 4}  # fmt: skip


def flags(settings):
    return [f"--config.{key}={value}" for key, value in settings.items()]


@pytest.fixture(scope="module")
def run(images):
    return jaxvae.fit("vae", images, TINY, progress=False)


def test_the_command_line_gives_the_same_bits_from_a_file(tmp_path, images, run, capsys):
    np.savez(tmp_path / "arrays.npz", x=images)
    argv = [
        "launch.py",
        "--config=vae",
        f"--config.data.path={tmp_path / 'arrays.npz'}",
        f"--workdir={tmp_path / 'run'}",
    ]
    off = {"evaluate.metrics": "", "evaluate.report": False}
    assert launch.main([*argv, *flags({**TINY, **off})], time.time()) == 0
    other = jaxvae.load(tmp_path / "run")
    for one, two in zip(jax.tree.leaves(run.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_array_equal(one, two)
    without = [[{**row, "seconds": 0} for row in each.history] for each in (run, other)]
    assert without[0] == without[1]
    np.testing.assert_array_equal(run.encode(images), other.encode(images))
    capsys.readouterr()


def test_the_batch_size_fits_own_data_of_few_examples(tmp_path, images, capsys):
    given = {key: value for key, value in TINY.items() if key != "train.batch_size"}
    run = jaxvae.fit("vae", images[:100], given, progress=False)
    assert "train.batch_size is 72 instead of 128, since there are 72 training examples" in capsys.readouterr().err
    assert run.config["train"]["batch_size"] == 72
    run.save(tmp_path / "run")
    again = jaxvae.fit("vae", images[:100], given, workdir=tmp_path / "run", progress=False)  # the same settings go on
    np.testing.assert_array_equal(again.encode(images), run.encode(images))
    np.save(tmp_path / "x.npy", images[:100])
    argv = ["launch.py", "--config=vae", f"--config.data.path={tmp_path / 'x.npy'}", f"--workdir={tmp_path / 'run'}"]
    assert launch.main([*argv, *flags(given), "--mode=sample", "--config.sample.num=2"], time.time()) == 0
    capsys.readouterr()
    assert (
        jaxvae.fit("vae", images[:100], given, train__batch_size=80, progress=False).config["train"]["batch_size"] == 72
    )
    assert "train.batch_size is 72 instead of 80" in capsys.readouterr().err  # that of a config's file, too


def test_data_goes_in_as_it_came_and_comes_out_likewise(images, run):
    x = (images / 255).astype(np.float32)[..., None]
    posterior = run.model.encode(run.params, x)
    np.testing.assert_allclose(run.encode(images), posterior.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.encode(images[..., None]), posterior.mean, rtol=1e-5, atol=1e-6)
    decoded = 255 * np.asarray(run.model.decode(run.params, posterior.mean).mean)
    np.testing.assert_allclose(run.reconstruct(images), decoded, rtol=1e-5)
    np.testing.assert_allclose(run.decode(run.encode(images)), decoded, rtol=1e-5)
    assert run.sample(3).shape == (3, 4, 4, 1)
    expected = run.model.encode(run.params, run.sample(3) / 255).mean
    np.testing.assert_allclose(run.encode(run.sample(3)), expected, atol=0.02)  # rounded to whole numbers
    pixels = np.rint(run.reconstruct(images[:5])).astype(np.uint8)
    np.testing.assert_array_equal(run.log_likelihood(run.reconstruct(images[:5])), run.log_likelihood(pixels))
    assert np.any(run.sample(3, seed=1) != run.sample(3, seed=2))
    np.testing.assert_array_equal(run.sample(3), run.sample(3, seed=run.config["seed"]))


def test_data_that_does_not_fit_is_refused_with_what_was_expected(images, run):
    with pytest.raises(UserError, match=r"shape \(120, 4, 3, 1\); .* \[N, 4, 4, 1\]"):
        run.encode(images[:, :, :3])
    with pytest.raises(UserError, match=r"floats from .* whole numbers from 0 to 255"):
        run.encode(images / 1000)
    with pytest.raises(UserError, match=r"z has shape \(4, 3\); the latents of this run are \[N, 2\]"):
        run.decode(np.zeros((4, 3)))
    with pytest.raises(UserError, match=r"sample\.temperature is -1\.0"):
        run.sample(3, temperature=-1.0)
    for metric, said in (("colapse", "Did you mean 'collapse'"), ("knn", "needs labels, which the data lacks")):
        with pytest.raises(UserError, match=said):
            run.evaluate(metric)
    for mask in (np.ones((3, 4, 4, 1), bool), np.ones((120, 4, 2, 1), bool), np.ones((120, 4, 4, 1), int)):
        with pytest.raises(UserError, match=r"The mask is .*; it must be bool \[120, 4, 4, 1\]"):
            run.encode(images, mask=mask)
    np.testing.assert_array_equal(run.encode(images, mask=np.ones((120, 4, 4), bool)), run.encode(images))


def test_the_five_lines_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.random.default_rng(0).normal(3.0, 2.0, (200, 4)))
    code = (Path(__file__).parents[2] / "README.md").read_text().partition("## Your own array in five lines")[2]
    names = {}
    exec(code.partition("```python\n")[2].partition("```")[0], names)
    assert names["codes"].shape == (200, 2)
    assert names["new"].mean() == pytest.approx(3.0, abs=0.5)
    assert (tmp_path / "runs/mine/config.json").exists()


@pytest.mark.slow
def test_the_log_likelihood_of_the_test_set_is_that_of_the_evaluation():
    x = np.random.default_rng(0).normal(100.0, [1, 20, 0.01], (300, 3))
    settings = {**TINY, "data.scaling": "standardize", "model.likelihood": "gaussian", "evaluate.nll_samples": 500}
    run = jaxvae.fit("vae", {"x_train": x[:200], "x_test": x[200:]}, settings, progress=False)
    found = run.evaluate()
    assert found["test"]["nll_samples"] == 500
    mine = run.log_likelihood(x[200:], num_samples=500)
    assert mine.shape == (100,)
    assert -mine.mean() == pytest.approx(found["test"]["nll"], abs=0.02)
    # The density of the data itself, from which it was drawn, is the best there is; in standardised units it is 4 away.
    assert run.sample(200).mean(axis=0) == pytest.approx([100, 100, 100], rel=0.1)
    with pytest.raises(UserError, match=r"3 values that are NaN.*trained on data without missing values"):
        run.encode(np.full((1, 3), np.nan))


def test_it_is_saved_moved_loaded_and_pickled(tmp_path, images, run):
    run.save(tmp_path / "saved")
    shutil.move(tmp_path / "saved", tmp_path / "moved")
    for other in (jaxvae.load(tmp_path / "moved"), pickle.loads(pickle.dumps(run))):
        np.testing.assert_array_equal(other.encode(images), run.encode(images))
        assert other.history == run.history
    other = jaxvae.load(tmp_path / "moved", data=images)
    assert other.evaluate()["test"] == run.evaluate()["test"]
    with pytest.raises(UserError, match=r"given in Python, .* hand it over again, jaxvae.load\(folder, data=...\)"):
        jaxvae.load(tmp_path / "moved").evaluate()
    with pytest.raises(UserError, match=r"moved' was trained on other data so far: .* jaxvae.load\(folder, data="):
        jaxvae.load(tmp_path / "moved", data=images[::-1]).evaluate()
    other.save(tmp_path / "copy")
    np.testing.assert_array_equal(jaxvae.load(tmp_path / "copy").sample(2), run.sample(2))
    with pytest.raises(UserError, match="is not empty"):
        other.save(tmp_path / "copy")
    with pytest.raises(UserError, match="different config"):
        jaxvae.fit("vae", images, {**TINY, "kl.beta": 2.0}, workdir=tmp_path / "moved", progress=False)
    with pytest.raises(UserError, match="holds no run"):
        jaxvae.load(tmp_path)


def test_figures_and_the_report_are_drawn(tmp_path, run):
    run.plot_curves().savefig(tmp_path / "curves.png")
    run.plot_latents().savefig(tmp_path / "latents.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000
    with pytest.raises(UserError, match="in memory: give report"):
        run.report()


def test_a_saved_run_is_trained_on_by_the_same_settings(tmp_path, images, run):
    run.save(tmp_path)
    again = jaxvae.fit("vae", images, TINY, workdir=tmp_path, progress=False)
    assert [row["step"] for row in again.history] == [row["step"] for row in run.history]
    np.testing.assert_array_equal(again.encode(images), run.encode(images))
    # It goes on from there as docs/python.md says: with its own settings, and more epochs.
    longer = jaxvae.fit(jaxvae.load(tmp_path).config, images, workdir=tmp_path, progress=False, train__num_epochs=3)
    assert longer.history[: len(run.history)] == run.history
    assert (run.history[-1]["epoch"], longer.history[-1]["epoch"]) == (2, 3)
    assert jaxvae.load(tmp_path, "last").config["train"]["num_epochs"] == 3
    with pytest.raises(UserError, match=r"model\.latent_dim"):
        jaxvae.fit(run.config, images, workdir=tmp_path, progress=False, model__latent_dim=3)


def squared(model: jaxvae.Model, scale: float = 1.0) -> Objective:
    """An objective of one's own: the squared error of reconstructions, times a scale."""

    def loss(params, extra, batch, key, ctx):
        del key, ctx
        x = batch["x"]
        mean = model.decode(params["model"], model.encode(params["model"], x).mean).mean
        value = scale * jnp.square(mean - x).sum((1, 2, 3)).mean()
        return Loss({"model": value}, {"loss": value}, extra)

    return Objective(
        lambda key: ({"model": model.init(key)}, {}), loss, model_params=lambda params, extra: params["model"]
    )


def by_draw(model: jaxvae.Model) -> Objective:
    """An objective with a loss for each of 3 draws, which is not averaged."""
    one = squared(model)

    def loss(*args):
        out = one.loss(*args)
        return out._replace(losses={"model": jnp.broadcast_to(out.losses["model"], (3, 32))})

    return one._replace(loss=loss)


def test_a_loss_of_another_shape_is_refused_before_anything_is_written(tmp_path, images):
    with pytest.raises(UserError, match=r"the loss 'model' in the shape \[3, 32\] for a batch of 32 .* shape \[32\]"):
        jaxvae.fit("vae", images, TINY, objective=by_draw, workdir=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_an_own_function_is_saved_by_its_name_and_options(tmp_path, images):
    run = jaxvae.fit("vae", images, TINY, objective=functools.partial(squared, scale=3.0), progress=False)
    assert run.config["objective"] == {"name": f"{__name__}:squared", "scale": 3.0}
    run.save(tmp_path)
    np.testing.assert_array_equal(jaxvae.load(tmp_path).encode(images), run.encode(images))
    # As if it had been trained in a script, and loaded in another one.
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(f"{__name__}:squared", "__main__:squared"))
    with pytest.raises(UserError, match=r"another script .* jaxvae.load\(folder, objective=squared\)"):
        jaxvae.load(tmp_path)
    again = jaxvae.load(tmp_path, objective=squared)
    assert again.config["objective"]["scale"] == 3.0
    np.testing.assert_array_equal(again.encode(images), run.encode(images))
    with pytest.raises(UserError, match="define it at the top of a module"):
        jaxvae.fit("vae", images, TINY, objective=lambda model: squared(model), progress=False)


@pytest.mark.slow
def test_a_part_of_jaxvae_given_as_a_function_has_its_plain_name(images):
    given = {**TINY, "model.likelihood": {"name": "gaussian", "learn": "shared"}}
    run = jaxvae.fit("vae", images, given, objective=functools.partial(objectives.iwae, num_samples=3), progress=False)
    assert run.config["objective"] == {"name": "iwae", "num_samples": 3}
    assert run.config["model"]["likelihood"] == given["model.likelihood"]


@pytest.mark.slow
def test_a_built_part_is_handed_over_again(tmp_path, images):
    network = networks.mlp((6,))
    run = jaxvae.fit("vae", images, {**TINY, "network": network}, optimizer=optax.sgd(1e-3), progress=False)
    run.save(tmp_path)
    with pytest.raises(UserError, match=r"hand it over again in Python, jaxvae.load\(folder, network=...\)"):
        jaxvae.load(tmp_path)
    again = jaxvae.load(tmp_path, network=network)
    np.testing.assert_array_equal(again.encode(images), run.encode(images))


def test_a_model_and_its_objective_are_trained(tmp_path, images):
    parts = posteriors.diagonal_gaussian(3), priors.standard_normal(3), likelihoods.bernoulli(), networks.mlp((8,))
    model = make_model(*parts, data_shape=(4, 4, 1))
    pair = model, objectives.elbo(model)
    run = jaxvae.fit(pair, images, train__num_epochs=1, train__batch_size=32, progress=False)
    assert run.model is model
    assert run.encode(images).shape == (120, 3)
    run.save(tmp_path)
    again = jaxvae.load(tmp_path, model=model, objective=pair[1])
    np.testing.assert_array_equal(again.encode(images), run.encode(images))
    with pytest.raises(UserError, match=r"The model is of data \[4, 4, 1\]"):
        jaxvae.fit(pair, images[:, :2], train__batch_size=32, progress=False)


@pytest.mark.parametrize(
    ("what", "data", "options", "message"),
    [
        ("vea", None, {}, "Did you mean --config=vae"),
        (3, None, {}, "fit got int"),
        ((1, 2), None, {}, "a jaxvae.Model and a jaxvae.Objective"),
        ("vae", "mnsit", {}, "mnist"),
        ("vae", None, {"train__epochs": 3}, "train.num_epochs"),
        ("vae", None, {"train__num_epochs": "3"}, "must be of type int"),
        ("vae", None, {"train__num_epochs": -3}, "train.num_epochs is -3"),
        ("vae", np.zeros((3, 2, 2, 2, 2)), {}, "shape"),
        ("vae", np.array([["a", "b"]]), {}, "type <U1; store pixels as uint8"),
    ],
)
def test_mistakes_are_answered(what, data, options, message):
    with pytest.raises(UserError, match=message):
        jaxvae.fit(what, data, **options)


def test_an_interrupted_run_is_kept(images, monkeypatch, capsys):
    def after_three_steps(self):
        self.number = signal.SIGINT
        return True

    monkeypatch.setattr(Signals, "received_by_any", after_three_steps)
    run = jaxvae.fit("vae", images, TINY, progress=False)
    assert "Stopped by SIGINT at step 2 of 4" in capsys.readouterr().err
    assert run.encode(images).shape == (120, 2)
