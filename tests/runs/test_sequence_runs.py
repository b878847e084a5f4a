"""Runs on text and music from start to end, through `launch.py`, and what they refuse."""

import json
import re
import time

import numpy as np
import pytest
from slow_cases import fast

import jaxvae
import launch
from jaxvae.data.kinds import load_data
from jaxvae.data.midi import read_midi, write_midi

SHORT = ("--config.train.num_epochs=1", "--config.train.eval_every_epochs=1", "--config.train.batch_size=8",
         "--config.evaluate.nll_samples=2", "--config.network.hidden=8", "--config.network.embed_dim=4",
         "--config.model.latent_dim=3", "--config.evaluate.ais_examples=4", "--config.evaluate.ais_chains=2",
         "--config.evaluate.ais_temperatures=3")  # fmt: skip
WORDS = ("the cat sat", "a dog ran away", "the bird sings", "a cat ran", "the dog sat down")


def run(*argv):
    return launch.main(["launch.py", *argv], time.time())


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_text("".join(f"{WORDS[i % 5]} {WORDS[i * 7 % 5]}\n" for i in range(60)) + "\n\n")
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory, sentences):
    workdir = tmp_path_factory.mktemp("run") / "text"
    options = "--config.sample.decoding=random", "--config.evaluate.metrics=", "--config.evaluate.report=False"
    assert run("--config=configs/text_vae.py", *SHORT, *options, f"--config.data.path={sentences}",
               f"--workdir={workdir}") == 0  # fmt: skip
    return workdir


def test_a_text_run_says_what_became_of_the_text_and_how_likely_it_is(text):
    found = json.loads((text / "results.json").read_text())
    test = found["test"]
    assert test["perplexity"] == pytest.approx(np.exp(test["nats_per_step"]))
    assert test["elbo"] == pytest.approx(-test["reconstruction"] - test["kl"], rel=1e-5)
    (note,) = (note for note in found["data"]["notes"] if note.startswith("train: "))
    assert note.startswith("train: 43 sentences")
    assert note.endswith("0 too long, 2 empty")
    lines = (text / "figures/reconstructions.txt").read_text().split("\n\n")[1:]
    words = {word for line in WORDS for word in line.split()} | {"<unk>", "(empty)"}
    assert len(lines) == 12
    assert {word for pair in lines for word in pair.split()} <= words


@pytest.mark.slow
def test_metrics_and_page_of_a_text_run(text):
    options = "--config.evaluate.report=True", "--config.evaluate.metrics=collapse,aggregate_kl"
    assert run(f"--workdir={text}", "--mode=evaluate", *options) == 0
    found = json.loads((text / "results.json").read_text())
    assert not {"frechet", "prdc", "fidelity", "outliers"} & found["metrics"].keys()
    assert found["metrics"]["collapse"]["decoder_variation"] is None
    words = {word for line in WORDS for word in line.split()} | {"<unk>", "(empty)"}
    page = (text / "report.html").read_text()
    assert page.count("<pre tabindex") == page.count("<figcaption>") - page.count("<img ") == 4
    points = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])["map"]
    assert points["thumbs"] is None
    assert {word for caption in points["captions"] for word in caption.split()} <= words


@pytest.mark.slow
def test_the_vocabulary_comes_with_the_run_and_the_seed_changes_what_is_written(text, capsys):
    written = []
    for seed in (1, 1, 2):
        assert run(f"--workdir={text}", "--mode=sample", f"--config.sample.seed={seed}", "--config.sample.num=8") == 0
        written.append((text / "figures/samples.txt").read_text())
    assert written[0] == written[1] != written[2]
    model, params = jaxvae.restore(text)
    z = np.zeros((2, 3), np.float32)
    assert model.decode(params, z).mean.shape == (2, *model.data_shape)


@pytest.mark.slow
def test_sampling_writes_as_it_is_told_now(text, capsys):
    written = []
    for options in ("greedy",), ("random",), ("random", "--config.sample.decoding.temperature=20.0"):
        assert run(f"--workdir={text}", "--mode=sample", f"--config.sample.decoding={options[0]}", *options[1:]) == 0
        written.append((text / "figures/samples.txt").read_text())
    assert len(set(written)) == 3
    assert run(f"--workdir={text}", "--mode=sample", "--config.sample.decoding=nonsense") == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.slow
def test_without_an_elbo_the_nats_per_step_are_those_of_the_likelihood(sentences, tmp_path):
    options = "--config.objective=reconstruction", "--config.kl=constant", "--config.evaluate.report=False"
    argv = "--config=configs/text_vae.py", f"--config.data.path={sentences}", f"--workdir={tmp_path / 'run'}"
    assert run(*argv, *SHORT, *options) == 0
    found = json.loads((tmp_path / "run/results.json").read_text())
    x = load_data(json.loads((tmp_path / "run/config.json").read_text())["data"]).test.x
    assert found["test"]["elbo"] is None
    assert found["test"]["nats_per_step"] == pytest.approx(found["test"]["nll"] / (x >= 0).sum(1).mean())
    assert "The objective gives no elbo: the nats per step are computed from nll." in found["notes"]


@pytest.mark.parametrize(
    "tool",
    fast(["interpolate", "traverse", "analogy"], "interpolate"),
)
def test_tools_write_text(tool, text):
    assert run(f"--workdir={text}", "--mode=tool", f"--config.tool={tool}") == 0
    assert (text / f"tools/{tool}.txt").read_text().count("\n") > 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config.tool=denoise",), "changes single values of an example, but this data is text"),
        (("--config.tool=impute",), "changes single values of an example, but this data is text"),
        (("--config.tool=interpolate", "--config.tool.path=geodesic"), "which sequences do not have"),
    ],
)
def test_tools_that_sequences_lack_are_refused(options, message, text, capsys):
    assert run(f"--workdir={text}", "--mode=tool", *options) == 2
    assert message in capsys.readouterr().err


def test_another_word_is_other_data(text, sentences, capsys):
    before = sentences.read_text()
    sentences.write_text(before.replace("bird", "fish"))
    status = run(f"--workdir={text}", "--mode=evaluate")
    sentences.write_text(before)
    assert status == 2
    assert "was trained on other data so far" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ("text_vae", ("--config.data.validation_fraction=-0.1",), "data.validation_fraction is -0.1"),
        ("text_vae", ("--config.data.sequence.min_count=-5",), "data.sequence.min_count is -5"),
        ("text_vae", ("--config.data.sequence.min_count=100000",), "No word is left in the vocabulary"),
        ("text_vae", ("--config.data.kind=txt",), "Unknown value of data.kind 'txt'. Did you mean 'text'?"),
        ("text_vae", ("--config.data.pixel_range=(0.0, 1.0)",), "data.pixel_range is (0.0, 1.0), but text is not"),
        ("text_vae", ("--config.data.path=/no/such.txt",), "data.path is '/no/such.txt', which does not exist"),
        ("text_vae", ("--config.data.name=mnist",), "no data of that kind has the name 'mnist'"),
        ("text_vae", ("--config.network=mlp",), "'mlp' does not fit this data, which is sequences"),
        ("text_vae", ("--config.evaluate.metrics=frechet",), "data other than text or music"),
        ("music_vae", ("--config.data.sequence.frames_per_beat=0",), "data.sequence.frames_per_beat is 0"),
        ("music_vae", ("--config.model.likelihood=poisson",), "'poisson' does not fit a step of music"),
        ("vae", ("--config.network=lstm",), "'lstm' reads sequences"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(config, options, message, tmp_path, capsys):
    assert run(f"--config=configs/{config}.py", f"--workdir={tmp_path / 'run'}", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_music_run_from_midi_files_with_broken_ones(tmp_path, capsys):
    rng = np.random.default_rng(0)
    folder = tmp_path / "midi"
    folder.mkdir()
    for i in range(20):
        frames = np.zeros((8, 88), np.uint8)
        frames[np.arange(8), rng.integers(30, 50, 8)] = 1
        write_midi(folder / f"{i}.mid", frames)
    for name in ("bad1.mid", "bad2.mid"):
        (folder / name).write_bytes(b"no MIDI")
    workdir = tmp_path / "run"
    options = f"--config.data.path={folder}", "--config.network.conductor=8", "--config.network.bar=4"
    assert run("--config=configs/music_vae.py", *SHORT, *options, f"--workdir={workdir}") == 0
    said = capsys.readouterr().err
    assert "2 files" in said
    assert "bad1.mid" in said
    assert "bad2.mid" in said
    assert read_midi(workdir / "figures/samples/00-00.mid").frames.shape[1] == 88
    assert run(f"--workdir={workdir}", "--mode=tool", "--config.tool=interpolate", "--config.tool.steps=3") == 0
    assert len(list((workdir / "tools/interpolate").iterdir())) == 5 * 2
    assert run(f"--workdir={workdir}", "--mode=tool", "--config.tool=interpolate", "--config.tool.steps=2") == 0
    assert len(list((workdir / "tools/interpolate").iterdir())) == 4 * 2
