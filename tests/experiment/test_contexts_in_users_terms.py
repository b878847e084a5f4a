"""A conditional run in its user's terms: samples, transfer, other data, on the command line and in Python."""

import time

import numpy as np
import pytest

import jaxvae
import launch
from jaxvae.data.wanted import said
from jaxvae.report.decoder import export

ROWS = np.arange(120)
KIND = np.array(["dark", "bright"])[(ROWS % 2 == 0).astype(int)]
LEVEL = np.where(KIND == "bright", 0.9, 0.1)
X = (LEVEL[:, None] + 0.05 * np.random.default_rng(0).uniform(size=(120, 36))).reshape(120, 6, 6).astype(np.float32)
SETTINGS = {"data.context": "label", "model.prior": "conditional_normal", "model.latent_dim": 2,
            "network.hidden": (16,), "train.num_epochs": 60, "train.batch_size": 16, "evaluate.nll_samples": 5,
            "evaluate.report": False, "optimizer.learning_rate": 0.01}  # fmt: skip


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


def test_the_page_explores_a_run_at_the_context_of_its_first_test_example(lamps):
    """The weights that the page computes with are those of the decoder at that context, else they would be refused."""
    trained = lamps[1]._trained
    made = export(trained, np.zeros(2), np.eye(2), np.ones(2), [])
    assert (made["kind"], made["layers"][0]["in"]) == ("weights", 2)


def test_other_data_is_encoded_by_the_classes_of_the_run(lamps, capsys):
    folder, run = lamps
    np.savez(folder / "night.npz", x=X[1::2], y=KIND[1::2])
    assert call(folder, "--mode=encode", f"--config.evaluate.data={folder}/night.npz") == 0
    (path,) = folder.glob("run/other/*/codes-test.npz")
    np.testing.assert_allclose(np.load(path)["mean"], run.encode(X[1::2], context="dark"), rtol=1e-4, atol=1e-5)
    np.savez(folder / "blue.npz", x=X[:4], y=["blue"] * 4)
    assert call(folder, "--mode=encode", f"--config.evaluate.data={folder}/blue.npz") == 2
    assert "of the context 'label'. Known: bright, dark" in capsys.readouterr().err
