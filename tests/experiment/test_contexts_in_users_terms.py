"""A conditional run in its user's terms: samples, transfer, other data, on the command line and in Python."""

import time

import jax
import numpy as np
import pytest

import jaxvae
import launch
from jaxvae.data.wanted import said
from jaxvae.evaluation.of_data import _other_data as other_data
from jaxvae.evaluation.of_data import outliers
from jaxvae.latent import samplers
from jaxvae.latent.samplers import Sampler
from jaxvae.models.base import encode_batch
from jaxvae.runs.fitted import fitted
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools import find

ROWS = np.arange(120)
KIND = np.array(["dark", "bright"])[(ROWS % 2 == 0).astype(int)]
LEVEL = np.where(KIND == "bright", 0.9, 0.1)
X = (LEVEL[:, None] + 0.05 * np.random.default_rng(0).uniform(size=(120, 36))).reshape(120, 6, 6).astype(np.float32)
SETTINGS = {"data.context": "label", "model.prior": "conditional_normal", "model.latent_dim": 2,
            "network.hidden": (16,), "train.num_epochs": 60, "train.batch_size": 16, "evaluate.nll_samples": 5,
            "evaluate.report": False, "evaluate.metrics": "", "optimizer.learning_rate": 0.01}  # fmt: skip


@pytest.fixture(scope="module")
def lamps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lamps")
    run = jaxvae.fit("vae", {"x": X, "y": KIND}, SETTINGS, workdir=folder / "run", progress=False)
    np.savez(folder / "lamps.npz", x=X, y=KIND)
    return folder, run


def level(x):
    return np.asarray(x).reshape(len(x), -1).mean(axis=1)


def call(folder, *flags):
    return launch.main(["launch.py", f"--workdir={folder}/run", f"--config.data.path={folder}/lamps.npz", *flags],
                       time.time())  # fmt: skip


def test_samples_of_a_class_are_of_that_class(lamps):
    _, run = lamps
    assert level(run.sample(30, context="dark")).max() < 0.3
    assert level(run.sample(30, context="bright")).min() > 0.7
    both = level(run.sample(10, context=["bright", "dark"]))
    assert both[:10].min() > 0.7
    assert both[10:].max() < 0.3
    with pytest.raises(jaxvae.UserError, match=r"conditional on label \(bright, dark\)"):
        run.sample(3)
    with pytest.raises(jaxvae.UserError, match=r"Unknown class 'blue'.* Known: bright, dark"):
        run.sample(3, context="blue")


def test_data_is_encoded_and_judged_at_contexts_in_the_users_terms(lamps):
    _, run = lamps
    one = np.eye(2)[(KIND == "dark").astype(int)]
    np.testing.assert_array_equal(run.encode(X, context=KIND), run.encode(X, context=one))
    np.testing.assert_allclose(run.encode(X[:3], context="dark"), run.encode(X[:3], context=["dark"] * 3), rtol=1e-6)
    right, wrong = (run.log_likelihood(X, 5, context=kind) for kind in (KIND, KIND[::-1]))
    assert right.mean() > wrong.mean() + 5
    decoded = run.decode(np.zeros((2, 2)), context=["bright", "dark"])
    np.testing.assert_allclose(level(decoded), [0.9, 0.1], atol=0.1)
    with pytest.raises(jaxvae.UserError, match="120 examples, but 3 rows of context"):
        run.reconstruct(X, context=["dark"] * 3)


def test_a_loaded_run_knows_its_context(lamps):
    folder, run = lamps
    again = jaxvae.load(folder / "run")
    assert again.spec.context == run.spec.context
    np.testing.assert_array_equal(again.sample(4, context="dark"), run.sample(4, context="dark"))


def test_the_command_line_samples_every_class_or_those_asked_for(lamps):
    folder, run = lamps
    assert call(folder, "--mode=sample", "--config.sample.num=3") == 0
    drawn = np.load(folder / "run" / "samples.npz")
    assert drawn["given"].tolist() == ["label = bright"] * 3 + ["label = dark"] * 3
    np.testing.assert_array_equal(drawn["x"], run.sample(3, context=["bright", "dark"]))
    assert (folder / "run" / "figures" / "samples.png").exists()
    np.savez(folder / "asked.npz", label=["dark", "dark"])
    assert call(folder, "--mode=sample", f"--config.sample.context={folder}/asked.npz", "--config.sample.num=2") == 0
    assert level(np.load(folder / "run" / "samples.npz")["x"]).max() < 0.3


def test_an_unknown_class_is_one_paragraph(lamps, capsys):
    assert call(lamps[0], "--mode=sample", "--config.sample.context=blue") == 2
    assert "Unknown class 'blue' of the context 'label'. Known: bright, dark." in capsys.readouterr().err


def test_an_example_is_transferred_to_every_class(lamps):
    folder, run = lamps
    assert call(folder, "--mode=tool", "--config.tool=transfer", "--config.tool.num=4") == 0
    found = np.load(folder / "run" / "tools" / "transfer.npz")
    assert found["given"].tolist() == [said(run.spec.context, row) for row in np.eye(2)]
    assert level(found["mean"][:, 0]).min() > 0.7
    assert level(found["mean"][:, 1]).max() < 0.3


def test_tools_take_each_example_at_its_own_context(lamps):
    """The class alone decides how bright an example is, so that at another one it would be decoded as wrong."""
    trained = lamps[1]._trained
    kind = np.asarray(trained.dataset.class_names)[trained.labels("test")]
    bright = kind == "bright"
    (first, second), other = np.flatnonzero(bright)[:2], np.flatnonzero(~bright)[0]
    use = lambda name, **options: find({"name": name, **options}, trained)().arrays  # noqa: E731
    mean = use("interpolate", steps=3)["mean"]
    for i in range(2):
        assert ((level(mean[:, -i]) > 0.5) == bright[i : 2 * len(mean) : 2]).all()
    between = bright[: 2 * len(mean) : 2] != bright[1 : 2 * len(mean) : 2]
    np.testing.assert_allclose(level(mean[between, 1]), 0.5, atol=0.3)
    assert ((level(use("traverse", index=int(other), span=0.5)["mean"][0]) > 0.5) == bright[other]).all()
    found = level(use("analogy", a=int(other), b=int(first), c=int(second))["mean"])
    assert ((found > 0.5) == bright[[other, first, second, second]]).all()
    for name, of in (("denoise", "denoised"), ("impute", "mean")):
        options = {"method": "pseudo_gibbs", "steps": 5, "nll_samples": 7} if name == "impute" else {}
        found = use(name, num=10, **options)
        assert ((level(found[of]) > 0.5) == bright[found["index"]]).all()
    moved = level(use("attribute", positive=1, strength=0.1)["mean"][:, 0])
    assert ((moved > 0.5) == (trained.dataset.class_names[0] == "bright")).all()
    searched = level(use("search", num=20, steps=5)["mean"])
    assert ((searched > 0.5) == (trained.drawn_contexts(20)[:, 0] == 1)).all()


def test_a_sampler_draws_the_codes_of_the_class_that_is_asked_for(lamps):
    """A Gaussian fitted to draws of q(z|x, y) of one class has the mean and the spread of these codes."""
    trained, options = lamps[1]._trained, {"sampler": {"name": "gmm", "components": 1}, "context": ""}
    config = {**trained.config, "sample": {**trained.config["sample"], **options}}
    run = TrainedRun(trained.experiment._replace(config=config), trained.restored)
    rows = np.eye(2, dtype=np.float32)[np.arange(4000) % 2]
    z = np.asarray(run.draw()(jax.random.key(0), 4000, 1.0, rows))
    contexts, means = trained.context("train"), []
    for i in range(2):
        batch = trained.batch("train", np.flatnonzero(contexts[:, i] == 1))
        q = encode_batch(run.model, run.params, batch)
        means.append(np.mean(q.mean, axis=0))
        spread = np.sqrt(np.mean(q.variance, axis=0) + np.var(q.mean, axis=0))
        error = spread * np.sqrt(1 / len(q.mean) + 1 / 2000)
        assert np.all(np.abs(z[i::2].mean(axis=0) - means[i]) < 4 * error)
        assert np.all(np.abs(z[i::2].std(axis=0) / spread - 1) < 4 * np.sqrt(0.5 / len(q.mean)))
    assert np.abs(means[0] - means[1]).max() > 8 * error.max()
    with pytest.raises(jaxvae.UserError, match=r"none has label = 0.5, 0.5\. Take sample\.sampler=prior"):
        run.draw()(jax.random.key(0), 1, 1.0, np.float32([[0.5, 0.5]]))
    fields = tuple(field._replace(kind="array") for field in trained.experiment.spec.context)
    run.experiment = run.experiment._replace(spec=run.experiment.spec._replace(context=fields))
    with pytest.raises(jaxvae.UserError, match=r"but label is not a class.*Take sample.sampler=prior"):
        fitted(run, options["sampler"])


def test_a_class_draws_as_many_codes_as_are_asked_for_in_few_sizes(lamps, monkeypatch):
    trained, sizes = lamps[1]._trained, []
    whole = {"name": "pseudo_inputs", "components": 2}

    def counted(model, params, codes, key):
        def draw(key, num, temperature=1.0):
            sizes.append(num)
            mean = codes.centres.mean(axis=0)
            return np.tile(mean, (num, 1)) + np.arange(num)[:, None]

        return draw

    monkeypatch.setattr("jaxvae.runs.fitted.part", lambda *_: lambda: Sampler(counted))
    draw = fitted(trained, whole)
    for num in (5, 6, 9):  # the second class once among them
        index = np.arange(num) == 2
        z = np.asarray(draw(jax.random.key(0), num, 1.0, np.eye(2, dtype=np.float32)[index.astype(int)]))
        means = [trained.codes("train")[trained.context("train")[:, i] == 1].mean(axis=0) for i in range(2)]
        np.testing.assert_allclose(z[2], means[1], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(z[~index], means[0] + np.arange(num - 1)[:, None], rtol=1e-5, atol=1e-5)
    assert sizes == [1, 4, 1, 8, 1, 8]


def test_a_run_samples_by_the_sampler_that_is_asked_for(lamps):
    """Each of a single class, and by default that of the settings; fitted once."""
    run = lamps[1]
    how = {"num": 300, "context": ["bright", "dark"], "seed": 3}
    by_prior, by_gmm = run.sample(**how), run.sample(**how, sampler={"name": "gmm", "components": 3})
    np.testing.assert_array_equal(run.sample(**how, sampler="prior"), by_prior)
    assert np.abs(by_gmm - by_prior).max() > 0
    built = run.sample(**how, sampler=samplers.gmm(components=3))
    np.testing.assert_array_equal(built, by_gmm)
    assert run.config["sample"]["sampler"] == {"name": "prior"}
    with pytest.raises(jaxvae.UserError, match=r"Unknown sampler 'gm'\. Did you mean 'gmm'"):
        run.sample(4, context="dark", sampler="gm")
    with pytest.raises(jaxvae.UserError, match="Unknown option 'parts' of the sampler 'gmm'"):
        run.sample(4, context="dark", sampler={"name": "gmm", "parts": 3})
    with pytest.raises(jaxvae.UserError, match="there are only"):
        run.sample(4, context="dark", sampler={"name": "gmm", "components": 10**6})


def test_outliers_are_scored_at_their_own_class(lamps, tmp_path):
    trained = lamps[1]._trained
    for kind in ("dark", "blue"):
        np.savez(tmp_path / f"{kind}.npz", x=X, y=np.where(KIND == "dark", kind, KIND))
        asked = {**trained.config["evaluate"], "outliers": f"{tmp_path}/{kind}.npz"}
        trained.config = {**trained.config, "evaluate": asked}
        if kind == "blue":
            with pytest.raises(jaxvae.UserError, match=r"cannot be scored at their own context: .*Known: bright, dark"):
                outliers(trained)
            continue
        other = other_data(trained)
        dark = other.test.x.reshape(len(other.test.x), -1).mean(axis=1) < 0.5
        np.testing.assert_array_equal(other.test.context, np.eye(2)[dark.astype(int)])


def test_other_data_is_encoded_by_the_classes_of_the_run(lamps, capsys):
    folder, run = lamps
    np.savez(folder / "night.npz", x=X[1::2], y=KIND[1::2])
    assert call(folder, "--mode=encode", f"--config.evaluate.data={folder}/night.npz") == 0
    (path,) = folder.glob("run/other/*/codes-test.npz")
    np.testing.assert_allclose(np.load(path)["mean"], run.encode(X[1::2], context="dark"), rtol=1e-4, atol=1e-5)
    np.savez(folder / "blue.npz", x=X[:4], y=["blue"] * 4)
    assert call(folder, "--mode=encode", f"--config.evaluate.data={folder}/blue.npz") == 2
    assert "of the context 'label'. Known: bright, dark" in capsys.readouterr().err
