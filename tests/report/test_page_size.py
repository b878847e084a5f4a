"""The page of the largest pictures, of noise that no PNG makes smaller, stays below its limit and shows them all."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import jaxvae
from jaxvae.report import decoder, maps, page, pictures

NOISE = np.random.default_rng(0)


def noise(*shape):
    return NOISE.integers(0, 256, size=shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def run():
    data = {"x_train": noise(64, 64, 64, 3), "x_test": noise(1000, 64, 64, 3)}
    options = {"network__hidden": (4,), "train__num_epochs": 1, "train__batch_size": 32}
    return jaxvae.fit("vae", data, progress=False, **options)._trained


@pytest.mark.slow
def test_the_page_of_large_pictures_is_below_five_megabytes(run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        page, "walks", lambda run, failures: [(name, pictures.png(noise(900, 900, 3))) for name in "abc"]
    )
    monkeypatch.setattr(decoder, "MAX_WEIGHTS", 0)  # the weights of this small network would fit
    monkeypatch.setattr(maps, "_tsne", lambda codes: codes[:, :2])
    sheets = [tmp_path / f"{name}.png" for name in ("samples", "reconstructions", "curves")]
    for path in sheets:
        path.write_bytes(pictures.png(noise(1000, 900, 3)))
    results = {"checkpoint": {"which": "best", "step": 2}, "num_parameters": 3, "test": {"loss": 1.0}, "metrics": {},
               "notes": [], "versions": {}}  # fmt: skip
    failures = []
    assert page.write_report(tmp_path / "report.html", run, results, sheets, failures)
    assert not failures
    text = (tmp_path / "report.html").read_text()
    assert 2_000_000 < len(text.encode()) < page.LARGEST == 5_000_000
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S).group(1))
    lines = data["explorer"]["decoder"]["lines"]
    assert data["explorer"]["decoder"]["side"] >= 7
    assert len(data["explorer"]["sliders"]) == lines["count"] >= 8
    assert lines["points"] >= 7
    assert min(data["map"]["thumb"]) >= 16
    shown = re.findall(r'<img alt="[^"]*" src="data:image/(?:png|jpeg);base64,([^"]*)"', text)
    assert len(shown) == 6
    for one in [*shown, data["map"]["thumbs"].split(",")[1]]:
        with Image.open(io.BytesIO(base64.b64decode(one))) as opened:
            assert min(opened.size) > 200


def test_pictures_that_fit_keep_their_bytes_and_others_share_the_room():
    flat, loud = pictures.png(np.zeros((90, 90, 3), np.uint8)), pictures.png(noise(500, 400, 3))
    small, large = pictures.within([flat, loud], 100_000)
    assert small == pictures.png_uri(flat)
    assert large.startswith("data:image/jpeg;base64,")
    assert len(large) <= 50_000
    with Image.open(io.BytesIO(base64.b64decode(large.split(",")[1]))) as opened:
        assert opened.width / opened.height == pytest.approx(0.8, abs=0.01)


def test_thumbnails_have_fewer_pixels_where_they_would_not_fit():
    flat = np.full((30, 64, 32, 3), 90, np.uint8)
    assert pictures.sprite(flat, 10, 64, 10_000)[1] == (64, 32)
    uri, size = pictures.sprite(noise(30, 64, 32, 3), 10, 64, 10_000)
    assert size == (16, 8)
    assert len(uri) <= 10_000
