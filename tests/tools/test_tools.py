"""The tools of the latent space, through `--mode=tool`: what they write, that it is what it says, what is refused."""

import json
import time

import numpy as np
import pytest
from PIL import Image
from slow_cases import fast

import jaxvae
import launch
from jaxvae import data
from jaxvae.runs.trained_run import some_rows
from jaxvae.tools import TOOLS, resolved

DIGITS = ("--config=configs/vae.py", "--config.train.num_epochs=25", "--config.network.hidden=(64,)",
          "--config.optimizer.learning_rate=0.005", "--config.model.latent_dim=8",
          "--config.train.steps_per_call=50")  # fmt: skip
SHORT = ("--config.train.eval_every_epochs=100", "--config.evaluate.report=False",
         "--config.figures.draw=False", "--config.evaluate.nll_samples=2",
         "--config.evaluate.metrics=")  # fmt: skip
QUICK = {
    "impute": {"num": 20, "steps": 30, "burn_in": 10, "chains": 2, "nll_samples": 30},
    "search": {"target": 3, "num": 20, "steps": 100},
    "attribute": {"positive": 3},
}
# Of those tested elsewhere, `transfer` and `transform` need a context, `clusters` a mixture, and `classify` labels.
UNCONDITIONAL = sorted(TOOLS.keys() - {"transfer", "transform", "clusters", "classify"})
IMAGE = (8, 8, 1)
SHAPES = {
    "analogy": {"z": (4, 8), "mean": (4, *IMAGE)},
    "attribute": {"vector": (8,), "mean": (12, 8, *IMAGE)},
    "denoise": {"index": (16,), "x": (16, *IMAGE), "noisy": (16, *IMAGE), "denoised": (16, *IMAGE)},
    "impute": {"index": (20,), **dict.fromkeys(("x", "observed", "mean", "sample"), (20, *IMAGE))},
    "interpolate": {"z": (8, 9, 8), "mean": (8, 9, *IMAGE)},
    "search": {"z": (20, 8), "mean": (20, *IMAGE)},
    "traverse": {"dimension": (8,), "mean": (8, 11, *IMAGE), "offset": (11,), "kl": (8,)},
}
NUMBERS = {
    "attribute": {"before", "after"}, "denoise": {"noisy_error", "error"}, "interpolate": {"mean_decoded_length"},
    "impute": {"error", "mean_image_error", "ratio", "acceptance", "log_likelihood_of_missing"},
    "search": {"mean_log_probability", "mean_log_prior"},
}  # fmt: skip


def launched(*argv):
    assert launch.main(["launch.py", *argv], time.time()) == 0


def options(name, **given):
    return [f"--config.tool={name}", *(f"--config.tool.{key}={value}" for key, value in given.items())]


def use(workdir, name, **given):
    """Runs a tool; `(arrays, numbers)`."""
    launched(f"--workdir={workdir}", "--mode=tool", *options(name, **given))
    with np.load(workdir / "tools" / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays), json.loads((workdir / "tools" / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("vae") / "run"
    launched(*DIGITS, *SHORT, f"--workdir={workdir}")
    return workdir


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """A VQ-VAE."""
    workdir = tmp_path_factory.mktemp("vq") / "run"
    launched("--config=configs/vq_vae.py", "--config.train.num_epochs=1", *SHORT, f"--workdir={workdir}")
    return workdir


@pytest.fixture(scope="module")
def found(digits):
    return {name: use(digits, name, **QUICK.get(name, {})) for name in UNCONDITIONAL}


@pytest.fixture(scope="module")
def posterior(digits):
    """q(z|x) of the test set, and the reconstructions in the data's own units, 0 to 16."""
    model, params = jaxvae.restore(digits)
    x = jaxvae.data.load().test.x / np.float32(16)
    return model.encode(params, x), 16 * np.asarray(jaxvae.reconstruct(model, params, x))


@pytest.mark.parametrize("name", UNCONDITIONAL)
def test_a_tool_writes_what_it_promises(name, digits, found):
    arrays, numbers = found[name]
    assert {key: array.shape for key, array in arrays.items()} == SHAPES[name]
    for key in {"x", "mean", "sample", "noisy", "denoised"} & set(arrays):
        assert 0 <= arrays[key].min() < 2 < arrays[key].max() <= 16  # the units of the data
    spec = {"name": name, **QUICK.get(name, {})}
    assert numbers.pop("tool") in (spec, resolved(spec))
    assert numbers.keys() == NUMBERS.get(name, set())
    assert all(np.isfinite(value) for value in numbers.values())
    with Image.open(digits / "tools" / f"{name}.png") as image:
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn


def test_the_options_that_were_not_given_are_known():
    assert resolved({"name": "interpolate", "steps": 3}) == {
        "name": "interpolate", "num": 8, "steps": 3, "path": "linear", "first": 0,
    }  # fmt: skip
    assert all(resolved({"name": name}).keys() >= {"name"} | QUICK.get(name, {}).keys() for name in TOOLS)


@pytest.mark.parametrize("name", fast(UNCONDITIONAL, "impute", "search"))
def test_a_tool_gives_the_same_bits_twice(name, digits, found):
    arrays, numbers = use(digits, name, **QUICK.get(name, {}))
    assert numbers == found[name][1] | {"tool": numbers["tool"]}
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, found[name][0][key])


@pytest.mark.parametrize("method", ["metropolis", pytest.param("pseudo_gibbs", marks=pytest.mark.slow)])
@pytest.mark.parametrize("mask", [pytest.param("left", marks=pytest.mark.slow), "random"])
def test_impute_keeps_what_is_known_and_knows_its_error(method, mask, digits):
    arrays, numbers = use(
        digits, "impute", method=method, mask=mask, part=0.375, num=10, steps=20, burn_in=20, nll_samples=0
    )
    x, observed = arrays["x"], arrays["observed"]
    np.testing.assert_array_equal(arrays["index"], some_rows(359, 10))  # not the first: a split may be sorted
    np.testing.assert_array_equal(x, jaxvae.data.load().test.x[arrays["index"]])
    for name in ("mean", "sample"):
        np.testing.assert_array_equal(arrays[name][observed], x[observed])
        assert (arrays[name][~observed] != x[~observed]).any()
    if mask == "left":
        assert not observed[:, :, :3].any()
        assert observed[:, :, 3:].all()
    else:
        assert np.mean(~observed) == pytest.approx(0.375, abs=4 * np.sqrt(0.375 * 0.625 / observed.size))
    average = np.broadcast_to(jaxvae.data.load().train.x.mean(axis=0), x.shape)
    assert numbers["error"] == pytest.approx(np.square((arrays["mean"] - x) / 16)[~observed].mean(), rel=1e-5)
    assert numbers["mean_image_error"] == pytest.approx(np.square((average - x) / 16)[~observed].mean(), rel=1e-5)
    assert numbers["ratio"] == pytest.approx(numbers["error"] / numbers["mean_image_error"])
    assert (numbers["acceptance"] == 1) == (method == "pseudo_gibbs")
    assert "log_likelihood_of_missing" not in numbers


@pytest.mark.slow
def test_impute_takes_a_mask_of_ones_own(digits, tmp_path):
    observed = np.random.default_rng(0).random((8, 8, 1)) < 0.8
    np.save(tmp_path / "mask.npy", observed)
    arrays, _ = use(digits, "impute", mask=tmp_path / "mask.npy", num=5, steps=2, burn_in=2, nll_samples=0)
    np.testing.assert_array_equal(arrays["observed"], np.broadcast_to(observed, (5, 8, 8, 1)))


@pytest.mark.slow
def test_a_mean_without_error_has_no_ratio(tmp_path):
    """Rows of pixels that are the same in all examples; 200 / 255 has a rounding error."""
    x = np.random.default_rng(0).integers(0, 256, size=(60, 8, 6, 1), dtype=np.uint8)
    x[:, :2], x[:, -2:] = 0, 200
    np.savez(tmp_path / "edges.npz", x=x)
    workdir, data = tmp_path / "run", f"--config.data.path={tmp_path / 'edges.npz'}"
    argv = "--config.train.batch_size=8", "--config.train.num_epochs=1", f"--workdir={workdir}"
    launched("--config=configs/vae_2d.py", data, *argv, *SHORT)
    for mask, same in (("top", True), ("bottom", True), ("middle", False)):
        _, numbers = use(workdir, "impute", mask=mask, part=0.25, num=4, steps=2, burn_in=1, chains=1, nll_samples=0)
        assert numbers["mean_image_error"] == pytest.approx(0, abs=1e-12) if same else numbers["ratio"] > 0
        assert ("ratio" in numbers) != same
        assert numbers["error"] > 0


def test_imputation_beats_the_mean_image(found):
    assert found["impute"][1]["ratio"] < 0.9


def test_denoise_knows_its_errors(found):
    arrays, numbers = found["denoise"]
    np.testing.assert_array_equal(arrays["index"], some_rows(359, 16))
    np.testing.assert_array_equal(arrays["x"], jaxvae.data.load().test.x[arrays["index"]])
    assert numbers["error"] == pytest.approx(np.square((arrays["denoised"] - arrays["x"]) / 16).mean(), rel=1e-5)
    assert numbers["noisy_error"] == pytest.approx(np.square((arrays["noisy"] - arrays["x"]) / 16).mean(), rel=1e-5)
    assert 0.01 < numbers["noisy_error"] < 0.3**2  # cut off at 0 and 1


def test_an_attribute_is_nearer_after_than_before(found):
    arrays, numbers = found["attribute"]
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


def test_the_ends_of_an_interpolation_are_the_reconstructions(found, posterior):
    q, reconstruction = posterior
    arrays, _ = found["interpolate"]
    for end, start in ((0, 0), (-1, 1)):
        np.testing.assert_allclose(arrays["mean"][:, end], reconstruction[start:16:2], atol=16e-5)
        np.testing.assert_allclose(arrays["z"][:, end], q.mean[start:16:2], atol=1e-5)


@pytest.mark.slow
def test_an_interpolation_starts_where_it_is_told(digits, posterior):
    _, reconstruction = posterior
    for path in ("spherical", "geodesic"):
        arrays, _ = use(digits, "interpolate", num=2, steps=3, first=355, path=path)
        np.testing.assert_allclose(arrays["mean"][:, 0], reconstruction[355:359:2], atol=16e-5)


@pytest.mark.parametrize(("first", "num", "pairs"), [(0, 359, 179), (356, 8, 1), (355, 2, 2)])
def test_an_interpolation_ends_with_the_test_set(first, num, pairs, digits):
    arrays, _ = use(digits, "interpolate", num=num, steps=2, first=first)
    assert arrays["mean"].shape == (pairs, 2, *IMAGE)


@pytest.mark.slow
def test_as_many_pseudo_inputs_as_there_are_training_examples(digits, refused, capsys):
    size = len(jaxvae.data.load().train.x)
    assert size > 1000
    argv = f"--workdir={digits}", "--mode=sample", "--config.sample.num=2", "--config.sample.sampler=pseudo_inputs"
    launched(*argv, f"--config.sample.sampler.components={size}")
    capsys.readouterr()
    message = refused(*argv, f"--config.sample.sampler.components={size + 1}")
    assert f"components={size + 1}, but there are only {size} training examples" in message


def test_a_traversal_orders_the_dimensions_by_kl(digits, found, posterior):
    q, reconstruction = posterior
    mean, variance = np.asarray(q.mean, np.float64), np.asarray(q.variance, np.float64)
    kl = 0.5 * (np.square(mean) + variance - 1 - np.log(variance)).mean(axis=0)
    arrays, _ = found["traverse"]
    np.testing.assert_array_equal(arrays["dimension"], np.argsort(-kl))
    np.testing.assert_allclose(arrays["kl"], np.sort(kl)[::-1], rtol=1e-4)
    np.testing.assert_allclose(arrays["offset"], np.linspace(-3, 3, 11), atol=1e-12)
    np.testing.assert_allclose(arrays["mean"][:, 5], np.broadcast_to(reconstruction[0], (8, *IMAGE)), atol=16e-5)
    three, _ = use(digits, "traverse", num=3, index=7)
    np.testing.assert_array_equal(three["dimension"], arrays["dimension"][:3])
    np.testing.assert_allclose(three["mean"][0, 5], reconstruction[7], atol=16e-5)


def test_an_analogy_adds_the_difference(found, posterior):
    z = found["analogy"][0]["z"]
    np.testing.assert_allclose(z[:3], posterior[0].mean[:3], atol=1e-5)
    np.testing.assert_allclose(z[3], z[2] + z[1] - z[0], atol=1e-6)


def test_a_search_finds_the_class(digits, found):
    assert found["search"][1]["mean_log_probability"] > np.log(0.5)
    weighed, unweighed = found["search"][1], use(digits, "search", **QUICK["search"], prior_weight=0.0)[1]
    assert unweighed["mean_log_probability"] > weighed["mean_log_probability"]
    assert unweighed["mean_log_prior"] < weighed["mean_log_prior"]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("interpolat", {}, "Unknown tool 'interpolat'. Did you mean 'interpolate'?"),
        ("interpolate", {"step": 3}, "Unknown option 'step' of the tool 'interpolate'. Did you mean 'tool.steps'?"),
        ("interpolate", {"steps": "many"}, "steps='many'; it must be of type int"),
        ("interpolate", {"num": 2.5}, "num=2.5; it must be of type int"),
        ("interpolate", {"run": 1}, "Unknown option 'run' of the tool 'interpolate'"),
        ("interpolate", {"first": 358}, "first=358 and num=8, but a pair needs two test examples"),
        ("interpolate", {"first": 999, "num": 2}, "the test set has the examples 0 to 358"),
        ("interpolate", {"first": -1}, "first=-1; it must be 0 or more"),
        ("traverse", {"index": 359}, "index=359; the test set has the examples 0 to 358"),
        ("analogy", {"c": 400}, "c=400; the test set has"),
        ("attribute", {"positive": 77}, "no code of class 77. Classes of the labels: 0, 1, 2"),
        ("attribute", {"negative": 77}, "no code of class 77"),
        ("search", {"target": 77}, "No training example is of class 77; classes: 0, 1, 2"),
        ("impute", {"mask": "no.npy"}, "The mask 'no.npy' cannot be read"),
        ("impute", {"part": 0.01}, "every value as observed"),
    ],
)
def test_a_mistake_is_refused(name, given, said, digits, refused):
    assert said in refused(f"--workdir={digits}", "--mode=tool", *options(name, **given))


@pytest.mark.slow
def test_a_mask_that_does_not_fit_is_refused(digits, refused, tmp_path):
    path = tmp_path / "mask.npy"
    for content, said in ((np.ones((7, 8, 1), bool), "[7, 8, 1]"), (np.ones((8, 8, 1)), "float64")):
        np.save(path, content)
        assert said in refused(f"--workdir={digits}", "--mode=tool", *options("impute", mask=path))
    path.write_bytes(b"")
    assert "cannot be read" in refused(f"--workdir={digits}", "--mode=tool", *options("impute", mask=path))
    with path.open("wb") as file:
        np.savez(file, mask=np.ones(3))
    assert "not a single array" in refused(f"--workdir={digits}", "--mode=tool", *options("impute", mask=path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["analogy", "attribute", "impute", "interpolate", "search", "traverse"])
def test_a_tool_of_continuous_latents_refuses_codes(name, codes, refused):
    message = refused(f"--workdir={codes}", "--mode=tool", *options(name))
    assert ("likelihood" if name == "impute" else "diagonal_gaussian") in message
    assert not (codes / "tools").exists()


@pytest.mark.slow
def test_codes_denoise(codes):
    arrays, _ = use(codes, "denoise", num=3)
    assert arrays["denoised"].shape == (3, *IMAGE)


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
