"""The page's explorer of a conditional run: a choice of classes and numbers, and the decoder's pictures at each."""

import base64
import html
import json

import numpy as np
import pytest

import jaxvae
from jaxvae.data.context import Field
from jaxvae.report import decoder
from jaxvae.report.choices import Choice, choice
from jaxvae.report.sections import explained, latent_space

KIND, AGE = np.asarray(["dark", "bright", "grey"])[np.arange(90) % 3], np.arange(90.0)
X = (np.arange(90) % 3 / 3)[:, None, None, None] * np.ones((90, 4, 4, 1), np.float32)
CLASSES = ["bright", "dark", "grey"]
SHORT = {"train.num_epochs": 1, "train.batch_size": 32, "model.latent_dim": 3, "network.hidden": (6,),
         "evaluate.nll_samples": 2, "data.binarization": "none"}  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    settings = {"data.context": "age,kind", **SHORT}
    return jaxvae.fit("cvae", {"x": X, "kind": KIND, "age": AGE}, settings, progress=False)


@pytest.fixture(scope="module")
def run(fitted):
    return fitted._trained


def unpacked(text, kind, *shape):
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


def wanted(run, z, kind, age=None):
    first = run.context("test", 1)
    age = first[:, :1] if age is None else np.float32([[age]])
    rows = np.tile(np.concatenate([age, np.eye(3)[[kind]]], axis=1), (len(z), 1)).astype(np.float32)
    return run.unit(run.decode(z, rows)).reshape(len(z), -1)


def test_the_page_has_a_choice_of_classes_and_numbers_in_the_users_units(run):
    spec = latent_space(run, failures := [])["explorer"]
    assert not failures
    age, kind = json.loads(json.dumps(spec))["contexts"]
    first = run.context("test", 1)[0]
    assert kind == {"name": "kind", "classes": CLASSES, "chosen": int(first[1:].argmax())}
    train = run.dataset.train.beside["age"]
    assert (age["name"], age["is_log"], spec["held"]) == ("age", False, "")
    own = [age[key] * age["scale"] + age["shift"] for key in ("chosen", "low", "high")]
    np.testing.assert_allclose(own, [run.dataset.test.beside["age"][0], train.min(), train.max()], rtol=1e-5, atol=1e-4)
    network = [
        (unpacked(one["weights"], "<f4", one["in"], one["out"]), unpacked(one["bias"], "<f4", one["out"]))
        for one in spec["decoder"]["layers"]
    ]
    z = np.random.default_rng(0).normal(size=(5, 3))
    for one, years in ((0, -1.5), (1, 0.0), (2, 1.5)):
        inputs = np.concatenate([z, np.tile([years, *np.eye(3)[one]], (5, 1))], axis=1)
        got = decoder.outputs(network, spec["decoder"]["activation"], spec["decoder"]["output"], inputs)
        np.testing.assert_allclose(got, wanted(run, z, one, years), atol=1e-4)
    assert np.abs(wanted(run, z, 0) - wanted(run, z, 1)).max() > 1e-3
    assert np.abs(wanted(run, z, 0, -1.5) - wanted(run, z, 0, 1.5)).max() > 1e-3


def test_a_typed_number_is_the_context_of_the_picture(fitted, run, browser, tmp_path):
    browser.get(fitted.report(tmp_path / "run").as_uri())
    box, slider = (browser.find_element("css selector", f"#contexts [type={kind}]") for kind in ("number", "range"))
    set_to = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    browser.execute_script("document.querySelector('#contexts select').selectedIndex = 2;"
                           "document.querySelector('#contexts select').dispatchEvent(new Event('change'))")  # fmt: skip
    field, z = run.experiment.spec.context[0], np.float32([[0.5, -1, 1]])
    for element, value, years in ((box, 12.5, (12.5 - field.shift) / field.scale), (slider, 1.0, 1.0)):
        browser.execute_script(set_to, element, value)
        got = browser.execute_script("return window.jaxvae.decode([0.5, -1, 1])")
        np.testing.assert_allclose(got, wanted(run, z, 2, years)[0], atol=1e-4)
    assert float(box.get_attribute("value")) == pytest.approx(field.shift + field.scale, rel=1e-3)
    browser.execute_script(set_to, box, "")  # while one is typing
    np.testing.assert_array_equal(browser.execute_script("return window.jaxvae.decode([0.5, -1, 1])"), got)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_pictures_are_decoded_at_each_context_or_at_one_where_they_are_too_large(run, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_WEIGHTS", 0)
    monkeypatch.setattr(decoder, "MAX_GRID_VALUES", 3 * 16 * 36)
    spec = latent_space(run, [])["explorer"]
    lines, side = spec["decoder"]["lines"], spec["decoder"]["side"]
    assert (side, spec["decoder"]["contexts"], len(spec["contexts"])) == (6, 3, 1)
    assert spec["held"] == f"age = {run.dataset.test.beside['age'][0]:.4g}"
    assert html.escape(spec["held"]) in explained(spec)
    centre, axes, spans = (np.asarray(spec[part]) for part in ("centre", "axes", "spans"))
    grid = unpacked(spec["decoder"]["values"], "<u2", 3, side, side, 16) / 65535
    line = unpacked(lines["values"], "u1", 3, lines["count"], lines["points"], 16) / 255
    slider = spec["sliders"][1]
    end = centre.copy()
    end[slider["index"]] = slider["high"]
    for kind in range(3):
        corner = (centre - spans[0] * axes[0] + spans[1] * axes[1])[None]
        np.testing.assert_allclose(grid[kind, -1, 0], wanted(run, corner, kind)[0], atol=1e-4)
        np.testing.assert_allclose(line[kind, 1, -1], wanted(run, end[None], kind)[0], atol=0.5 / 255 + 1e-6)
    monkeypatch.setattr(decoder, "MAX_GRID_VALUES", 3 * 16 * 25 - 1)
    spec = latent_space(run, [])["explorer"]
    assert (spec["decoder"]["contexts"], spec["contexts"]) == (1, [])
    assert "kind = " in explained(spec)


def test_the_classes_of_the_last_field_change_first(run):
    kind = run.experiment.spec.context[1]
    two = Choice(np.float32([0, 1, 0, 0, 1]), (kind, kind._replace(size=2)), (0, 1))
    rows = two.contexts()
    assert len(rows) == 6
    np.testing.assert_array_equal(rows[[0, 1, 5]], [[1, 0, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 1, 0, 1]])
    assert choice(run).is_chosen.tolist() == [True] * 4
    assert choice(run).of_classes().is_chosen.tolist() == [False, True, True, True]


def test_a_number_of_an_array_and_a_library_size_are_chosen_in_their_own_units():
    fields = Field("total", "total", shift=4.0, scale=0.5), Field("dose", "array", 2), Field("gene", "array", 9)
    extent = np.stack([np.full(12, -2.0), np.full(12, 3.0)]).astype(np.float32)
    at = Choice(np.arange(12, dtype=np.float32), fields, (0, 1), extent)
    total, *doses = at.as_json()
    assert total == {"name": "total", "chosen": 0, "low": -2, "high": 3, "shift": 4, "scale": 0.5, "is_log": True}
    assert [(one["name"], one["chosen"], one["shift"], one["scale"]) for one in doses] == [
        ("dose[0]", 1, 0, 1), ("dose[1]", 2, 0, 1)
    ]  # fmt: skip
    drawn = at.drawn(np.random.default_rng(0), 50)
    assert (drawn[:, :3] != np.float32([0, 1, 2])).all()
    assert (np.abs(drawn[:, :3] - 0.5) <= 2.5).all()
    np.testing.assert_array_equal(drawn[:, 3:], np.tile(np.arange(3, 12), (50, 1)))
