"""The tool `attribute`: its vector, and that the attribute comes and goes."""

import numpy as np
import pytest
from tool_runs import DIGITS, QUICK, SHORT, launched, options, use

import jaxvae
import launch
from jaxvae import data
from jaxvae.runs.trained_run import some_rows


def test_an_attribute_is_nearer_after_than_before(digits):
    arrays, numbers = use(digits, "attribute", **QUICK["attribute"])
    assert numbers["after"] >= numbers["before"] + 0.2
    assert (arrays["mean"][:, 0] != arrays["mean"][:, -1]).any(axis=(1, 2, 3)).all()


@pytest.mark.slow
def test_an_attribute_is_taken_away(digits):
    _, numbers = use(digits, "attribute", positive=3, strength=-3.5)
    assert numbers["before"] > 0.7
    assert numbers["after"] < 0.1


@pytest.mark.slow
def test_an_attribute_shows_and_judges_by_examples_at_random(digits, posterior, monkeypatch):
    judged = []
    monkeypatch.setattr("jaxvae.tools.walks.LARGEST", 100)
    monkeypatch.setattr("jaxvae.tools.walks.agreement", lambda x, labels, *_: judged.append((x, labels)) or [0.0, 1.0])
    arrays, _ = use(digits, "attribute", positive=3, num=5)
    data = jaxvae.data.load()
    rows = np.flatnonzero(data.test.label != 3)
    rows = rows[some_rows(len(rows), 5)]
    np.testing.assert_allclose(arrays["mean"][:, 0], posterior[1][rows], atol=16e-5)
    rows = some_rows(len(data.train.x), 100)
    np.testing.assert_array_equal(judged[0][0], data.train.x[rows] / np.float32(16))
    np.testing.assert_array_equal(judged[0][1], data.train.label[rows])


def test_the_attribute_vector_is_the_difference_of_mean_codes(digits):
    arrays, _ = use(digits, "attribute", positive=3, negative=7)
    model, params = jaxvae.restore(digits)
    train = jaxvae.data.load().train
    z = np.asarray(model.encode(params, train.x / np.float32(16)).mean)
    expected = z[train.label == 3].mean(axis=0) - z[train.label == 7].mean(axis=0)
    np.testing.assert_allclose(arrays["vector"], expected, atol=1e-5)


@pytest.mark.slow
def test_few_examples_of_a_class_are_enough_and_no_images_no_picture(tmp_path, capsys, refused):
    """A classifier of scikit-learn's holds out some of each class, where there are some."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rows.npz", x=rng.random((60, 5), dtype=np.float32), y=np.arange(60) % 2 + (np.arange(60) == 7))
    workdir = tmp_path / "run"
    data = f"--config.data.path={tmp_path / 'rows.npz'}", "--config.train.batch_size=8"
    launched("--config=configs/vae_2d.py", *data, "--config.train.num_epochs=1", *SHORT, f"--workdir={workdir}")
    arrays, numbers = use(workdir, "attribute", positive=1, num=2, steps=3)
    assert arrays["mean"].shape == (2, 3, 5)
    assert 0 <= numbers["before"] <= 1
    assert not (workdir / "tools" / "attribute.png").exists()
    capsys.readouterr()
    message = refused(f"--workdir={workdir}", "--mode=tool", *options("impute", mask="left"))
    assert "needs data with columns" in message


@pytest.mark.slow
def test_an_attribute_can_be_a_factor_by_its_name(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.random((500, 4, 4, 1), np.float32)
    factors = rng.integers(0, 2, (500, 2))
    np.savez(tmp_path / "x.npz", x=x, factors=factors, factor_names=np.array(["hat", "smile"]))
    workdir = tmp_path / "run"
    launched(*DIGITS, *SHORT, f"--workdir={workdir}", f"--config.data.path={tmp_path / 'x.npz'}",
             "--config.train.num_epochs=1", "--config.train.batch_size=16")  # fmt: skip
    vectors = {}
    for name in ("hat", "smile"):
        arrays, _ = use(workdir, "attribute", factor=name, num=2, steps=2)
        vectors[name] = arrays["vector"]
    subject_of = jaxvae.restore(workdir)
    codes = np.asarray(subject_of[0].encode(subject_of[1], x).mean)
    rest = data.load(path=str(tmp_path / "x.npz")).train
    rows = [int(np.flatnonzero((x == one).all(axis=(1, 2, 3)))[0]) for one in rest.x]
    for i, name in enumerate(("hat", "smile")):
        has = factors[rows, i] == 1
        expected = codes[rows][has].mean(axis=0) - codes[rows][~has].mean(axis=0)
        np.testing.assert_allclose(vectors[name], expected, atol=1e-5)
    capsys.readouterr()
    assert launch.main(["", f"--workdir={workdir}", "--mode=tool", *options("attribute", factor="smiles")], 0.0) == 2
    assert "Unknown factor 'smiles'. Did you mean 'smile'?" in capsys.readouterr().err
