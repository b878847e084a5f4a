"""What `report.html` says of a run: its numbers, pictures, warnings, and what was left out and why."""

import base64
import html
import io
import json
import re
import shlex
import time

import jax
import numpy as np
import pytest
from absl import flags
from PIL import Image

import launch
from jaxvae.cli.flags import parse
from jaxvae.common.errors import UserError
from jaxvae.evaluation.results import label
from jaxvae.experiment.setup import setup
from jaxvae.report import decoder, made_by, maps, page, sections
from jaxvae.runs.restore import restore_run
from jaxvae.runs.trained_run import TrainedRun, some_rows
from jaxvae.tools.imputation import impute

SHORT = ("--config.train.num_epochs=2", "--config.train.eval_every_epochs=9", "--config.evaluate.nll_samples=2",
         "--config.network.hidden=(16,)")  # fmt: skip


def trained(workdir, *argv):
    assert launch.main(["launch.py", *argv, *SHORT, f"--workdir={workdir}"], time.time()) == 0
    return workdir


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    metrics = "--config.evaluate.metrics=collapse,linear_probe,frechet"
    return trained(tmp_path_factory.mktemp("run") / "run", "--config=configs/vae.py", metrics)


def subject_of(workdir, kind=TrainedRun, change=lambda params: params):
    restored = restore_run(workdir)
    return kind(setup(restored.config), restored._replace(params=change(restored.params)))


def results_of(workdir, **metrics):
    results = json.loads((workdir / "results.json").read_text())
    return results | {"metrics": results["metrics"] | metrics}


def written(run, results, path):
    """`(text, data)` of the page."""
    assert page.write_report(path, run, results, [], [])
    return read(path)


def read(path):
    text = path.read_text()
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    assert data is not None
    return text, json.loads(data.group(1))


@pytest.fixture
def still(monkeypatch):
    """No walks, which cost most of the time, and a map of few examples."""
    monkeypatch.setattr(page, "walks", lambda run, failures: [])
    monkeypatch.setattr(maps, "POINTS", 60)


def cell(value):
    if isinstance(value, str):
        return html.escape(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def test_each_number_is_in_the_tables(workdir):
    text, _ = read(workdir / "report.html")
    tables = dict(re.findall(r"<table><caption>(.*?)</caption>(.*?)</table>", text, re.S))
    results = results_of(workdir)
    wanted = {"test set, nats per example": results["test"]}
    wanted |= {label(name): values for name, values in results["metrics"].items()}
    assert tables.keys() == {html.escape(name) for name in wanted}
    for name, values in wanted.items():
        shown = {
            key: value for key, value in values.items() if isinstance(value, (int, float, str)) and key != "warning"
        }
        rows = dict(re.findall("<tr><td>(.*?)</td><td>(.*?)</td></tr>", tables[html.escape(name)]))
        assert rows == {html.escape(label(key)): cell(value) for key, value in shown.items()}
        assert rows
    assert isinstance(results["metrics"]["frechet"]["features"], str)


def test_pictures_have_captions(workdir):
    text, _ = read(workdir / "report.html")
    captions = re.findall("<figcaption>(.*?)</figcaption>", text)
    starts = ("Loss and its parts", "Samples: ", "Test data, ", "interpolate: ", "traverse: ", "impute: ")
    for start in starts:
        assert sum(caption.startswith(start) for caption in captions) == 1
    assert len(captions) == text.count("<img ") == len(starts)
    assert "by metropolis" in captions[-1]
    assert "Left out" not in text


def test_a_warning_is_said_once_and_text_is_escaped(workdir, tmp_path, still):
    warning = "Posterior collapse: q(z|x) <hardly> depends on x"
    results = results_of(workdir, collapse={"warning": warning, "active": 0}, frechet={"features": "<b>&"})
    results["notes"] = [warning, "another note"]
    text, _ = written(subject_of(workdir), results, tmp_path / "report.html")
    assert text.count(html.escape(warning)) == 1
    assert f'<p class="warning">{html.escape(warning)}</p>' in text
    assert '<p class="quiet">another note</p>' in text
    assert "<td>&lt;b&gt;&amp;</td>" in text


def test_codes_that_are_all_the_same_have_no_tsne(workdir, tmp_path, still):
    """Barnes and Hut's trees end the process where t-SNE starts from NaN."""

    def constant(params):
        last = max(params["encoder"], key=lambda name: int(name.split("_")[1]))
        layer = params["encoder"][last]
        layer = layer | {"kernel": 0 * layer["kernel"], "bias": layer["bias"] + 0.3}
        return params | {"encoder": params["encoder"] | {last: layer}}

    run = subject_of(workdir, change=constant)
    assert np.ptp(run.codes("test"), axis=0).max() < 1e-6
    text, data = written(run, results_of(workdir), tmp_path / "report.html")
    assert [one["name"] for one in data["map"]["maps"]] == ["principal components"]
    assert "The map by t-SNE was left out: the codes of all test examples are the same." in text
    assert np.isfinite(data["map"]["maps"][0]["points"]).all()


@pytest.mark.parametrize("scale", [1e-18, 1e18])
@pytest.mark.slow
def test_tsne_takes_codes_of_any_size(scale, workdir, still):
    class Scaled(TrainedRun):
        def codes(self, split):
            return scale * super().codes(split)

    left_out = []
    found = maps.latent_map(subject_of(workdir, Scaled), left_out)
    assert [one["name"] for one in found["maps"]] == ["principal components", "t-SNE"]
    assert not left_out
    assert np.ptp(found["maps"][1]["points"], axis=0).min() > 1


def test_codes_that_are_not_finite_have_no_map(workdir, tmp_path, still):
    class Broken(TrainedRun):
        def codes(self, split):
            codes = super().codes(split).copy()
            codes[-1, 0] = np.nan
            return codes

    text, data = written(subject_of(workdir, Broken), results_of(workdir), tmp_path / "report.html")
    assert not data
    assert "The explorer was left out: some codes of the test set are NaN or infinite." in text
    assert 'id="map"' not in text
    assert 'id="decoded"' not in text


def test_no_text_of_the_data_ends_the_page(workdir, tmp_path, still, monkeypatch):
    captions = ["<!-- a", "b <script>", "</script> c"]
    monkeypatch.setattr(sections, "latent_map", lambda run, failures: {"captions": captions})
    text, data = written(subject_of(workdir), results_of(workdir), tmp_path / "report.html")
    assert data["map"]["captions"] == captions
    assert "<!--" not in text
    assert text.count("<script") == text.count("</script") == 2


@pytest.mark.slow
def test_pictures_that_are_too_large_have_no_explorer(workdir, tmp_path, still, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_WEIGHTS", 0)
    for most, explored in ((5 * 5 * 64, True), (5 * 5 * 64 - 1, False)):
        monkeypatch.setattr(decoder, "MAX_GRID_VALUES", most)
        text, data = written(subject_of(workdir), results_of(workdir), tmp_path / "report.html")
        assert ("explorer" in data) == ('id="decoded"' in text) == explored
        assert ("The explorer was left out: pictures of shape (8, 8, 1) are too large." in text) == (not explored)
        assert "map" in data


def test_a_decoder_that_is_no_dense_chain_is_decoded_along_the_sliders(workdir, tmp_path, still, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_WEIGHTS", 0)
    run = subject_of(workdir)
    text, data = written(run, results_of(workdir), tmp_path / "report.html")
    spec = data["explorer"]
    lines, centre = spec["decoder"]["lines"], np.asarray(spec["centre"])
    values = np.frombuffer(base64.b64decode(lines["values"]), "u1").reshape(lines["count"], lines["points"], 64) / 255
    assert (lines["count"], lines["points"]) == (12, 21)
    for row, one in zip(values, spec["sliders"], strict=True):
        z = np.tile(centre, (21, 1))
        z[:, one["index"]] = np.linspace(one["low"], one["high"], 21)
        np.testing.assert_allclose(row, run.unit(run.decode(z)).reshape(21, 64), atol=0.5 / 255 + 1e-6)
    assert "a grid of 25 by 25 points of the plane, and 21 points along each slider" in text
    assert f"{spec['decoder']['error']:.2%} of their range off" in text
    assert 0 < spec["decoder"]["error"] < 0.02
    measured = [float(one["about"].removesuffix(" nats")) for one in spec["sliders"]]
    assert measured == sorted(measured, reverse=True)


def test_the_map_is_of_examples_at_random(workdir, monkeypatch):
    monkeypatch.setattr(maps, "POINTS", 50)
    run = subject_of(workdir)
    found = maps.latent_map(run, [])
    rows = some_rows(len(run.dataset.test.x), 50)
    assert found["rows"] == rows.tolist()
    assert [found["names"][i] for i in found["labels"]] == [str(one) for one in run.labels("test")[rows]]
    with Image.open(io.BytesIO(base64.b64decode(found["thumbs"].split(",")[1]))) as sheet:
        pixels = np.asarray(sheet)
    place = 43  # in the second row of the sheet, which has 40 in each
    image = run.dataset.test.x[rows[place], ..., 0] / np.float32(16)
    np.testing.assert_array_equal(pixels[8:16, 24:32, 0], np.round(image * 255))


@pytest.mark.slow
def test_the_map_of_large_pictures_has_small_ones(tmp_path):
    x = np.random.default_rng(0).random((40, 80, 100, 1)).astype(np.float32)
    np.savez(tmp_path / "large.npz", x=x)
    data = f"--config.data.path={tmp_path / 'large.npz'}", "--config.train.batch_size=8"
    workdir = trained(tmp_path / "run", "--config=configs/vae_2d.py", *data, "--config.evaluate.report=False")
    found = maps.latent_map(subject_of(workdir), [])
    assert found["thumb"] == (51, 64)


@pytest.mark.slow
def test_walks_that_the_model_lacks_are_named_and_imputation_has_a_second_way(workdir, tmp_path, monkeypatch):
    def refuses(run, **options):
        raise UserError("It has no <dimensions>.")

    def no_density(run, method="", **options):
        return impute(run, method=method, **options) if method == "pseudo_gibbs" else refuses(run)

    monkeypatch.setattr(sections, "traverse", refuses)
    monkeypatch.setattr(sections, "impute", no_density)
    text, _ = written(subject_of(workdir), results_of(workdir), tmp_path / "report.html")
    assert [c.split(":")[0] for c in re.findall("<figcaption>(.*?)</figcaption>", text)] == ["interpolate", "impute"]
    assert "by pseudo_gibbs" in text
    left_out = re.findall('<p class="quiet">(.*?)</p>', text.split("<h2>Left out</h2>")[1])
    assert left_out == ["&#x27;traverse&#x27; was left out: It has no &lt;dimensions&gt;."]


@pytest.mark.slow
def test_data_without_pictures_says_so(tmp_path):
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).random((60, 5), dtype=np.float32))
    data = f"--config.data.path={tmp_path / 'rows.npz'}", "--config.train.batch_size=8"
    text, found = read(trained(tmp_path / "run", "--config=configs/vae_2d.py", *data) / "report.html")
    assert (
        "The section on interpolation, traversal and imputation was left out: the data does not consist of images."
        in text
    )
    assert found["map"]["thumbs"] is None
    assert found["map"]["captions"] == [f"example {row}" for row in found["map"]["rows"]]
    assert jax.tree.leaves(found["map"]["maps"])


def test_the_settings_that_made_the_run_are_shown(workdir):
    text, _ = read(workdir / "report.html")
    differ, every = text.split("<h2>Settings</h2>")[1].split("<details>")
    assert "<tr><td>network.hidden</td><td>(16,)</td><td>(400,)</td></tr>" in differ
    assert "<td>train.num_epochs</td><td>2</td><td>100</td>" in differ
    assert "optimizer.learning_rate" not in differ
    assert "<td>optimizer.learning_rate</td><td>0.001</td>" in every
    assert "training " in differ
    assert made_by.changed(json.loads((workdir / "config.json").read_text())).keys() == {
        "network.hidden", "train.num_epochs", "train.eval_every_epochs", "evaluate.nll_samples", "evaluate.metrics",
    }  # fmt: skip


def test_the_page_says_how_to_repeat_the_run(workdir):
    text, _ = read(workdir / "report.html")
    codes = dict(re.findall(r'<pre class="code" tabindex="0" aria-label="(.*?)">(.*?)</pre>', text, re.S))
    assert codes.keys() == {"on the command line", "in Python"}
    line = html.unescape(codes["on the command line"])
    _, *argv, workdir_flag = shlex.split(line.replace("\\\n", " "))
    config = parse(["jaxvae", *argv], flags.FlagValues())
    assert json.loads(config.to_json()) == json.loads((workdir / "config.json").read_text())
    assert (workdir_flag, line.count("--config.")) == ("--workdir=runs/vae-digits-again", 5)
    assert f"checksum {subject_of(workdir).restored.info['data_checksum']:08x}," in text
    assert f"jax {jax.__version__}" in text


@pytest.mark.slow
def test_a_repeated_run_has_the_same_settings_and_the_same_loss(workdir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = re.search(r'aria-label="on the command line">(.*?)</pre>', (workdir / "report.html").read_text(), re.S)
    assert launch.main(shlex.split(html.unescape(text.group(1)).replace("\\\n", " ")), time.time()) == 0
    again = tmp_path / "runs/vae-digits-again"
    assert (again / "config.json").read_text() == (workdir / "config.json").read_text()
    assert results_of(again)["test"] == results_of(workdir)["test"]


def test_maps_have_axes_and_no_two_classes_look_the_same(workdir):
    _, data = read(workdir / "report.html")
    found = data["map"]
    assert len(set(map(tuple, found["looks"]))) == len(found["names"]) == 10
    assert found["maps"][0]["axes"][0].startswith("component 1 (")
    assert "% of the variance" in found["maps"][0]["axes"][1]
