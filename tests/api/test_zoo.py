"""The models that come with jaxvae: each is read, and gives the numbers that were recorded when it was made."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from slow_cases import fast

import jaxvae
from jaxvae import UserError
from jaxvae.api.loading import ZOO, zoo
from jaxvae.evaluation.bounds import objective_means

ROOT = Path(__file__).parents[2]
NAMES = sorted(zoo())
PAGE = (ROOT / "docs" / "zoo.md").read_text()


@pytest.mark.parametrize("name", fast(NAMES, "vae-digits", "table_vae-wine", "miwae_missing-breast_cancer"))
def test_a_model_of_the_zoo_gives_its_recorded_numbers(name):
    run = jaxvae.load(f"zoo/{name}")
    recorded = json.loads((ZOO / name / "results.json").read_text())["test"]
    found = objective_means(run._trained)
    assert found["loss"] == pytest.approx(recorded["loss"], rel=1e-4)
    assert run.history[-1]["step"] >= 10


def test_the_zoo_is_small_and_complete():
    sizes = {name: sum(path.stat().st_size for path in (ZOO / name).rglob("*")) for name in NAMES}
    assert max(sizes.values()) < 500_000
    assert sum(sizes.values()) < 5_000_000
    assert sorted(runpy.run_path(str(ROOT / "benchmarks" / "make_zoo.py"))["MODELS"]) == NAMES
    assert len(NAMES) >= 10
    for name in NAMES:
        config = json.loads((ZOO / name / "config.json").read_text())
        assert config["name"] == name
        assert config["data"]["path"] == ""


def test_the_page_has_the_loss_of_each_model():
    rows = dict(re.findall(r"^\| `zoo/(\S+)` \|.*\| (-?[\d.]+) \|$", PAGE, flags=re.MULTILINE))
    losses = {name: json.loads((ZOO / name / "results.json").read_text())["test"]["loss"] for name in NAMES}
    assert rows == {name: f"{loss:.2f}" for name, loss in losses.items()}


def test_a_folder_goes_before_the_zoo_and_an_unknown_name_is_answered(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"Unknown model of the zoo 'vae-digit'. Did you mean 'vae-digits'"):
        jaxvae.load("zoo/vae-digit")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo" / "vae-digits").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no run"):
        jaxvae.load("zoo/vae-digits")


def test_a_model_of_the_zoo_is_a_run_that_is_not_written_to(tmp_path):
    run = jaxvae.load("zoo/vae-digits")
    digits = jaxvae.data.load("digits").test.x
    assert run.reconstruct(digits[:64]).shape == (64, 8, 8, 1)
    assert np.abs(run.reconstruct(digits) - digits).mean() < np.abs(digits - digits.mean(axis=0)).mean() / 2
    with pytest.raises(UserError, match=r"exported weights alone: give report\(folder\)"):
        run.report()
    run.save(tmp_path / "mine")
    np.testing.assert_array_equal(jaxvae.load(tmp_path / "mine").sample(3), run.sample(3))
