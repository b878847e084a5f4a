"""The page's explorer of a conditional run: a choice of classes, and the numbers of the decoder at each."""

import base64
import html
import json

import numpy as np
import pytest

import jaxvae
from jaxvae.report import decoder
from jaxvae.report.choices import Choice, choice
from jaxvae.report.sections import explained, latent_space

KIND, AGE = np.asarray(["dark", "bright", "grey"])[np.arange(90) % 3], np.arange(90.0)
X = (np.arange(90) % 3 / 3)[:, None, None, None] * np.ones((90, 4, 4, 1), np.float32)
CLASSES = ["bright", "dark", "grey"]
SHORT = {"train.num_epochs": 1, "train.batch_size": 32, "model.latent_dim": 3, "network.hidden": (6,),
         "evaluate.nll_samples": 2, "data.binarization": "none"}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    found = jaxvae.fit(
        "cvae", {"x": X, "kind": KIND, "age": AGE}, {"data.context": "age,kind", **SHORT}, progress=False
    )
    return found._trained


def unpacked(text, kind, *shape):
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


def wanted(run, z, kind):
    first = run.context("test", 1)
    rows = np.tile(np.concatenate([first[:, :1], np.eye(3)[[kind]]], axis=1), (len(z), 1)).astype(np.float32)
    return run.unit(run.decode(z, rows)).reshape(len(z), -1)


def test_the_page_has_a_choice_of_classes_and_holds_the_rest(run):
    spec = latent_space(run, failures := [])["explorer"]
    assert not failures
    assert json.loads(json.dumps(spec))["contexts"] == [
        {"name": "kind", "classes": CLASSES, "chosen": int(run.context("test", 1)[0, 1:].argmax())}
    ]
    assert spec["held"] == f"age = {run.dataset.test.beside['age'][0]:.4g}"
    assert html.escape(spec["held"]) in explained(spec)
    network = [
        (unpacked(one["weights"], "<f4", one["in"], one["out"]), unpacked(one["bias"], "<f4", one["out"]))
        for one in spec["decoder"]["layers"]
    ]
    z = np.random.default_rng(0).normal(size=(5, 3))
    for kind in range(3):
        inputs = np.concatenate([z, np.tile(np.eye(3)[kind], (5, 1))], axis=1)
        got = decoder.outputs(network, spec["decoder"]["activation"], spec["decoder"]["output"], inputs)
        np.testing.assert_allclose(got, wanted(run, z, kind), atol=1e-4)
    assert np.abs(wanted(run, z, 0) - wanted(run, z, 1)).max() > 1e-3


def test_pictures_are_decoded_at_each_context_or_at_one_where_they_are_too_large(run, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_WEIGHTS", 0)
    monkeypatch.setattr(decoder, "MAX_GRID_VALUES", 3 * 16 * 36)
    spec = latent_space(run, [])["explorer"]
    lines, side = spec["decoder"]["lines"], spec["decoder"]["side"]
    assert (side, spec["decoder"]["contexts"], len(spec["contexts"])) == (6, 3, 1)
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
    field = run.experiment.spec.context[1]
    two = Choice(np.float32([0, 1, 0, 0, 1]), (field, field._replace(size=2)), (0, 1))
    rows = two.contexts()
    assert len(rows) == 6
    np.testing.assert_array_equal(rows[[0, 1, 5]], [[1, 0, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 1, 0, 1]])
    assert choice(run).is_chosen.tolist() == [False, True, True, True]
