"""The commands of the pages run, one after the other in a folder with the reader's files, on data that is bundled.

What is changed: MNIST and CelebA become the bundled digits, training has one epoch unless the page asks for a number up
to 50, the likelihood and AIS take few draws, and report.html is left out.
"""

import re
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import PAGES, ROOT, commands

import launch

ELSEWHERE = {
    "own_parts.md": "tests/cli/test_own_parts_example.py, with the files of the page",
    "catalogue.md": "commands of configs, each of which trains in tests/experiment/test_grid.py",
    "papers.md": "as those of AGENTS.md and settings.md",
}
NOT_HERE = {  # what no test has
    ".path=FOLDER": "a folder of images of 256 pixels and the weights of VGG, or of texts",
    ".path=FILE_OR_FOLDER": "a corpus of texts",
    ".path=FOLDER_OF_MIDI": "a folder of music",
    "--by=kl.beta": "the runs of a loop of the shell; tests/report/test_comparison.py",
}
WITH_COMMANDS = [page for page in PAGES if commands(page) and page.name not in ELSEWHERE]
QUICK = ("evaluate.report=False", "evaluate.nll_samples=2", "evaluate.max_examples=150")
TRAINING = ("train.num_epochs=1", "evaluate.metrics=", *QUICK)
JUDGING = ("evaluate.ais_examples=5", "evaluate.ais_chains=2", "evaluate.ais_temperatures=10", *QUICK)
SMALL = {
    **dict.fromkeys(("vade", "gmvae"), ("train.pretrain_epochs=1",)),
    **dict.fromkeys(("text_vae", "ssvae_text"), ("network.embed_dim=8", "network.hidden=8")),
    "music_vae": ("network.embed_dim=8", "network.hidden=8", "network.conductor=8"),
}
OTHER_DATA = (
    (r":(mnist|celeb_a)$", ""),
    (r"(?<=-)mnist\b", "digits"),
    (r"(?<=num_epochs=)\d{3,}", "2"),
    (r"(?<=warmup_steps=)\d+", "5"),
)


def config_of(argv: list[str]) -> str:
    """The name of the config of a command that starts a run in the folder of its name; "" for others."""
    named = re.match(r"--config=(?:configs/)?(\w+)", argv[0])
    return named[1] if named and not any(arg.startswith("--workdir=") for arg in argv) else ""


def adapted(argv: list[str]) -> list[str]:
    """The command on bundled data, with little training."""
    for pattern, by in OTHER_DATA:
        argv = [re.sub(pattern, by, arg) for arg in argv]
    named = {arg.partition("=")[0].removeprefix("--config.") for arg in argv}
    added = JUDGING if "--mode" in named else TRAINING if "--config" in named else ()
    added += SMALL.get(config_of(argv), ())
    return argv + [f"--config.{setting}" for setting in added if setting.partition("=")[0] not in named]


def needed(argv: list[str]) -> list[str]:
    """The configs whose runs on the digits the command reads."""
    return re.findall(r"(?:^|(?:workdir|features|run|stage_of)=)runs/(\w+)-digits$", "\n".join(argv), flags=re.M)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """The reader's folder: configs, and files of the kinds that pages name."""
    draws = np.random.default_rng(0)
    numbers = pd.DataFrame(draws.normal(size=(120, 3)), columns=["a", "b", "c"])
    kinds, groups, ages = (draws.choice(of, 120) for of in (["red", "white"], ["a", "b"], np.arange(20.0, 80.0)))
    numbers.assign(kind=kinds).to_csv(tmp_path / "wine.csv", index=False)
    numbers.assign(batch=groups, age=ages).to_csv(tmp_path / "cells.csv", index=False)
    numbers.mask(draws.uniform(size=(120, 3)) < 0.2).to_csv(tmp_path / "table.csv", index=False)
    some = np.where(np.arange(120) % 4, "", draws.choice(["cat", "dog"], 120))
    numbers.assign(species=some).to_csv(tmp_path / "animals.csv", index=False)
    np.savez(tmp_path / "freyfaces.npz", images=draws.integers(0, 256, (120, 28, 20), np.uint8))
    np.savez(tmp_path / "new.npz", x=draws.integers(0, 17, (40, 8, 8, 1)), y=np.arange(40) % 10)
    np.savez(tmp_path / "wanted.npz", batch=np.array(["a", "b"]), age=np.array([30.0, 50.0]))
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    own = (ROOT / "configs" / "vae_gan.py").read_text().replace('get_config("vae_gan"', 'get_config("my_config"')
    (tmp_path / "my_config.py").write_text(own)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pages_with_commands_are_found():
    assert len(WITH_COMMANDS) > 12
    assert {page.name for page in PAGES} >= ELSEWHERE.keys()


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=[page.name for page in WITH_COMMANDS])
def test_the_commands_of_a_page_run(page, workplace):
    for argv in commands(page):
        if any(arg.endswith(name) for name in NOT_HERE for arg in argv):
            continue
        for earlier in Path("runs").glob(f"{config_of(argv)}-*"):  # another variant, in the same folder by default
            shutil.rmtree(earlier)
        if argv[0].startswith("--"):
            args = adapted(argv)
        else:
            args = [path for arg in argv for path in map(str, sorted(Path().glob(arg)) or [arg])]
        absent = [name for name in needed(args) if not Path(f"runs/{name}-digits").exists()]
        for each in (*(adapted([f"--config={name}"]) for name in absent), args):
            assert launch.main(["jaxvae", *each], time.time()) == 0, " ".join(each)
