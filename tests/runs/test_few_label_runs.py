"""Runs with few labels: a second stage on the codes of a first one, whole by itself, and what it refuses."""

import json
import shutil
import time

import jax
import numpy as np
import pytest
from test_start_from import weights

import jaxvae
import launch
from jaxvae import UserError
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.stages import with_stage
from jaxvae.runs.restore import restore_run

SMALL = (
    "--config.network.hidden=(30,)", "--config.model.latent_dim=4", "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.nll_samples=2", "--config.data.labels=200",
    "--config.optimizer.learning_rate=5e-3",
    "--config.train.eval_every_epochs=100",
)  # fmt: skip


def trains(config, workdir, *more):
    args = ["launch.py", f"--config=configs/{config}.py", f"--workdir={workdir}", *SMALL, *more]
    return launch.main(args, time.time())


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("first") / "m1"
    assert trains("m1", workdir, "--config.train.num_epochs=20") == 0
    return workdir


@pytest.fixture(scope="module")
def second(first, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("second") / "m1_m2"
    assert trains("m1_m2", workdir, f"--config.stage_of={first}", "--config.train.num_epochs=20") == 0
    return workdir


def classification(workdir):
    return json.loads((workdir / "results.json").read_text())["metrics"]["classification"]


def test_both_stages_classify(first, second):
    for workdir in (first, second):
        found = classification(workdir)
        assert found["accuracy"] > 0.3  # of ten classes, with 200 labels
        assert np.sum(found["confusion"]) == 359
        assert found["accuracy"] == pytest.approx(np.trace(found["confusion"]) / 359)


def test_a_second_stage_holds_the_first_as_it_was(first, second, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(second, moved)  # another place, where the first stage need not be
    run = restore_run(moved)
    there = restore_run(first)
    mine, theirs = jax.tree.leaves(run.params["first"]), jax.tree.leaves(there.params)
    assert len(mine) == len(theirs) > 0
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert run.model.decode(run.params, np.zeros((2, 4)), np.eye(10)[:2]).mean.shape == (2, 8, 8, 1)


def test_unlabelled_examples_are_encoded_at_their_likeliest_class(second):
    run = jaxvae.load(second)
    train, filled = run._trained.dataset.train, run._trained.split("train")
    known = train.label >= 0
    np.testing.assert_array_equal(filled.context[known], train.context[known])
    assert not train.context[~known].any()
    _, probs = run.classify(train.x[~known][:50])
    np.testing.assert_array_equal(filled.context[~known][:50], np.eye(10)[probs.argmax(axis=1)])
    batch = next(run._trained.batches("train", np.flatnonzero(~known)[:50]))
    np.testing.assert_array_equal(batch["context"], filled.context[~known][:50])


@pytest.mark.slow
def test_a_second_stage_goes_on_to_the_same_bits(first, second, tmp_path):
    stopped = tmp_path / "stopped"
    more = f"--config.stage_of={first}", "--config.train.steps_per_call=10"
    assert trains("m1_m2", stopped, *more, "--config.train.num_epochs=7") == 0
    assert trains("m1_m2", stopped, *more, "--config.train.num_epochs=20") == 0
    for one, other in zip(weights(stopped, "last").values(), weights(second, "last").values(), strict=True):
        np.testing.assert_array_equal(one, other)


def config_of(first, **changes):
    config = load_config(first)
    config["data"] = {**config["data"], **changes.pop("data", {})}
    return {**config, "stage_of": str(first), "stage": {}, **changes}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"validation_fraction": 0.3}, r"has data.validation_fraction=0.1, this one 0.3"),
        ({"binarization": "static"}, r"has data.binarization='none', this one 'static'"),
    ],
)
def test_a_first_stage_of_other_data_is_refused(first, data, words):
    with pytest.raises(UserError, match=words):
        with_stage(config_of(first, data=data))


def test_a_first_stage_that_is_none_is_refused(first, second, tmp_path, capsys):
    with pytest.raises(UserError, match="Train the first stage before this one"):
        with_stage(config_of(first, stage_of=str(tmp_path / "nowhere")))
    with pytest.raises(UserError, match="a second stage itself"):
        with_stage({**config_of(first), "stage_of": str(second)})
    workdir = tmp_path / "run"
    x = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 1)).astype(np.uint8)
    for name, seed in (("one", 0), ("two", 1)):
        np.savez(tmp_path / f"{name}.npz", x=np.roll(x, seed, axis=0), y=np.arange(60) % 2)
    assert trains("m1", tmp_path / "own", f"--config.data.path={tmp_path / 'one.npz'}", "--config.data.labels=4",
                  "--config.train.num_epochs=1", "--config.evaluate.metrics=") == 0  # fmt: skip
    shutil.copy(tmp_path / "two.npz", tmp_path / "one.npz")
    assert trains("m1_m2", workdir, f"--config.stage_of={tmp_path / 'own'}", "--config.data.labels=4",
                  f"--config.data.path={tmp_path / 'one.npz'}") == 2  # fmt: skip
    assert "was trained on other examples" in capsys.readouterr().err
    assert not workdir.exists()


def test_what_few_labels_cannot_be_learned_from(tmp_path, capsys):
    for more, words in (
        (("--config.data.context=",), "on the label, one-hot: set data.context=label"),
        (("--config.data.labels=5",), "fewer than one for each of the 10 classes"),
        (("--config.data.labels=0", "--config.train.labelled_share=0.5"), "all of the training examples have a label"),
    ):
        assert trains("m2", tmp_path / "run", *more) == 2
        assert words in capsys.readouterr().err
    for config, more, words in (
        ("vae", "--config.data.context=label", "but only 15.46% of the training examples have one, and the objective"),
        ("classifier", "--config.data.context=label", "'supervised' takes a label in data.context as known"),
        ("vae", "--config.train.labelled_share=0.5", "the objective 'elbo' does not weigh labelled examples"),
    ):
        assert trains(config, tmp_path / "run", more) == 2
        assert words in capsys.readouterr().err
    np.savez(tmp_path / "plain.npz", x=np.random.default_rng(0).random((50, 4, 4)).astype(np.float32))
    assert trains("classifier", tmp_path / "run", f"--config.data.path={tmp_path / 'plain.npz'}",
                  "--config.data.labels=0", "--config.evaluate.metrics=") == 2  # fmt: skip
    assert "The objective 'supervised' learns to classify, but the data has no labels" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["images", "table"])
def test_a_table_of_which_some_rows_have_a_label(kind, tmp_path, capsys):
    rng, y = np.random.default_rng(0), np.arange(120) % 3
    x = rng.normal(size=(120, 2)) + 3 * y[:, None]
    cells = [name if i % 2 else "" for i, name in enumerate(np.array(["ant", "bee", "cow"])[y])]
    lines = [f"{a:.4f},{b:.4f},{cell}" for (a, b), cell in zip(x, cells, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["long,wide,species", *lines]))
    own = [f"--config.data.path={tmp_path / 'a.csv'}", "--config.data.label=species", "--config.data.labels=0",
           "--config.data.context=label"]  # fmt: skip
    as_table = "--config.data.kind=table", "--config.data.pixel_range=()", "--config.model.likelihood=columns"
    own += as_table if kind == "table" else ["--config.data.scaling=unit"]
    short = "--config.train.num_epochs=40", "--config.train.batch_size=16", "--config.evaluate.metrics="
    assert trains("m2", tmp_path / "run", *own, *short) == 0
    assert json.loads((tmp_path / "run" / "results.json").read_text())["test"]["accuracy"] > 0.7  # 1/3 by chance
    assert trains("vae", tmp_path / "other", *own) == 2
    assert "of the training examples have one, and the objective 'elbo'" in capsys.readouterr().err


def test_classes_of_the_test_set_and_of_new_data(first, second, tmp_path, capsys):
    run = jaxvae.load(second)
    digits = jaxvae.data.load("digits").test
    classes, probs = run.classify(digits.x[:40])
    np.testing.assert_array_equal(classes, np.arange(10))
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    for workdir in (first, second):
        assert launch.main(["launch.py", f"--workdir={workdir}", "--mode=tool", "--config.tool=classify"],
                           time.time()) == 0  # fmt: skip
        found = np.load(workdir / "tools" / "classify.npz")
        accuracy = float(np.mean(found["predicted"] == digits.label))
        assert accuracy == pytest.approx(classification(workdir)["accuracy"])
        assert json.loads((workdir / "tools" / "classify.json").read_text())["accuracy"] == pytest.approx(accuracy)
        lines = (workdir / "tools" / "classify.csv").read_text().splitlines()
        assert len(lines) == 360
        assert lines[0].startswith('"label","predicted","p(0)"')
    np.testing.assert_allclose(found["probs"][:40], probs, rtol=1e-4, atol=1e-6)
    np.save(tmp_path / "new.npy", digits.x[:40])  # without labels
    assert launch.main(["launch.py", f"--workdir={second}", "--mode=tool", "--config.tool=classify",
                        f"--config.evaluate.data={tmp_path / 'new.npy'}"], time.time()) == 0  # fmt: skip
    (there,) = (second / "other").glob("new-*/tools/classify.npz")
    np.testing.assert_allclose(np.load(there)["probs"], probs, rtol=1e-4, atol=1e-6)


def test_without_labels_there_is_nothing_to_classify_by():
    x = np.random.default_rng(0).random((40, 6)).astype(np.float32)
    run = jaxvae.fit("vae", x, train__num_epochs=1, model__latent_dim=2, network__hidden=(4,), progress=False)
    with pytest.raises(UserError, match="needs training labels of at least two classes"):
        run.classify(x)


def test_a_classifier_of_codes_that_hold_the_label_is_refused():
    """Else it would read the label of each example that its encoder gets, with an accuracy of 1."""
    run = jaxvae.load("zoo/cvae-digits")
    with pytest.raises(UserError, match="codes of this run are of x and its label"):
        run.classify(jaxvae.data.load("digits").test.x[:4], context=3)
    with pytest.raises(UserError, match="an encoder that does not get the label"):
        run.evaluate("linear_probe")


def test_rows_without_labels_are_clustered_and_counted():
    x = np.random.default_rng(0).random((60, 6)).astype(np.float32)
    run = jaxvae.fit("vade", x, train__num_epochs=1, train__pretrain_epochs=1, network__hidden=(4,), progress=False)
    found = run.evaluate("clustering", nll_samples=5)["metrics"]["clustering"]
    assert found.keys() == {"used_clusters", "mean_probability"}
    assert run.cluster(x).shape == (60, 10)
