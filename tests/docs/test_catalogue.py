"""The catalogue has every config; its pictures come from runs."""

import json

import catalogue_page
import config_headers
import make_pictures
import numpy as np
import pytest
from pages import ROOT
from PIL import Image

from jaxvae.common.errors import UserError
from jaxvae.experiment import configs

FOLDER = ROOT / "docs" / "catalogue"


def test_the_page_is_complete():
    text = (ROOT / "docs" / "catalogue.md").read_text()
    assert [name for name in configs.installed() if f"\n## {name}\n" not in text] == []


def test_every_config_has_a_small_picture_or_lines():
    shown = sorted(FOLDER.glob("*"))
    assert [path.stem for path in shown] == sorted(configs.installed())  # one for each
    assert all(path.suffix in (".png", ".txt") and path.stat().st_size <= 40_000 for path in shown)


def test_a_header_is_title_commands_and_prose(tmp_path):
    path = tmp_path / "a.py"
    path.write_text('"""A model\nof two lines.\n\npython launch.py  # loss 1\n    # more\n\nProse\nof *two*.\n"""\n')
    header = config_headers.header(path)
    assert header.title == "A model of two lines"
    assert header.paragraphs == ((True, "python launch.py  # loss 1\n    # more"), (False, "Prose\nof *two*."))


def test_a_number_stands_before_its_command():
    text = "python launch.py --a  # digits, bundled: loss 1\npython launch.py --b=1     --c\n    # loss 2\n    # loss 3"
    assert catalogue_page._folded(text).splitlines() == [
        "# digits: loss 1",
        "python launch.py --a",
        "# loss 2",
        "# loss 3",
        "python launch.py --b=1 \\",
        "    --c",
    ]


def test_a_note_links_other_configs():
    assert catalogue_page._with_links("`vae`, `ae`, `x` and vae", "ae") == "[`vae`](#vae), `ae`, `x` and vae"


def test_a_config_is_found_in_the_results_that_name_it():
    text = "# All\n\n## One\n\n| vae, wide | 1 |\n\n## Two\n\n`ae` and configs/vae.py\n"
    assert catalogue_page.results_by_config(text) == {"vae": ["One", "Two"], "ae": ["Two"]}


@pytest.fixture
def run(tmp_path):
    """A run with a sheet of samples that is taller than that of reconstructions: noise, with a white line at 60."""
    figures = tmp_path / "vae-digits" / "figures"
    figures.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (120, 400, 3), np.uint8)
    noise[60] = 255
    Image.fromarray(noise).save(figures / "samples.png")
    Image.fromarray(noise[:70]).save(figures / "reconstructions.png")
    (figures.parent / "config.json").write_text(json.dumps({"name": "vae-digits", "data": {"name": "digits"}}))
    (figures.parent / "results.json").write_text(json.dumps({"test": {"loss": 23.751, "nll": None}}))
    return figures.parent


def test_a_picture_is_small_and_has_its_caption(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_pictures, "FOLDER", tmp_path / "out")
    assert make_pictures.main([str(run.parent)]) == 0
    with Image.open(tmp_path / "out" / "vae.png") as picture:
        assert picture.info["Description"] == "Samples and reconstructions of digits, test loss 23.75"
    assert (tmp_path / "out" / "vae.png").stat().st_size <= make_pictures.BYTES
    assert "vae.png" in capsys.readouterr().out


def test_samples_are_cut_at_a_white_line(run):
    with Image.open(run / "figures" / "samples.png") as samples:
        cut = np.asarray(make_pictures._cut(samples, 70))
        assert (cut[:60] == np.asarray(samples)[:60]).all()
    assert (cut[60:] == 255).all()
    picture, _ = make_pictures.compose(run)
    assert picture.width == make_pictures.WIDTH


def test_without_samples_curves_are_shown(run):
    (run / "figures" / "samples.png").rename(run / "figures" / "curves.png")
    (run / "figures" / "reconstructions.png").unlink()
    picture, caption = make_pictures.compose(run)
    assert caption == "Curves of digits, test loss 23.75"
    assert picture.width == make_pictures.WIDTH // 2


def test_a_folder_without_pictures_is_named(run, capsys):
    for path in (run / "figures").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"neither figures/samples\.png nor .* nor curves\.png"):
        make_pictures.compose(run)
    assert make_pictures.main([str(run)]) == 1
    assert str(run) in capsys.readouterr().err


def test_sentences_are_shown_by_their_first_lines(run, tmp_path, monkeypatch):
    monkeypatch.setattr(make_pictures, "FOLDER", tmp_path / "out")
    monkeypatch.setattr(catalogue_page, "DOCS", tmp_path)
    for path in (run / "figures").iterdir():
        path.unlink()
    sentences = [f"sentence {i} {'long ' * 30 if i == 1 else ''}" for i in range(9)]
    (run / "figures" / "samples.txt").write_text("\n".join(sentences))
    (run / "figures" / "reconstructions.txt").write_text("in: a b\nout: a c\n")
    assert make_pictures.main([str(run)]) == 0
    lines = (tmp_path / "out" / "vae.txt").read_text().splitlines()
    assert lines[0] == "sentence 0 "
    assert lines[1].endswith(" ...")
    assert len(lines[1]) == make_pictures.LETTERS + 4
    assert "sentence 5 " in lines
    assert "sentence 6 " not in lines
    assert lines[-4:] == ["in: a b", "out: a c", "", "Samples and reconstructions of digits, test loss 23.75"]
    (tmp_path / "out").rename(tmp_path / "catalogue")
    page = "".join(catalogue_page._picture("vae"))
    assert page.startswith("```text\nsentence 0 \n")
    assert page.endswith("out: a c\n```\n\n*Samples and reconstructions of digits, test loss 23.75.*\n")
