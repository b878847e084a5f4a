"""The commands of the pages run, one after the other in a folder with the reader's files, on data that is bundled.

What is changed: MNIST and CelebA are the bundled digits, training has an epoch where the page gives no number up to 50,
the metric of all metrics and the likelihood take few draws, and pages of HTML are left out.
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
OF_READERS = {  # what no test has
    "FOLDER": "a folder of images of 256 pixels and the weights of VGG, or of texts",
    "FILE_OR_FOLDER": "a corpus of texts",
    "FOLDER_OF_MIDI": "a folder of music",
}
WITH_COMMANDS = [page for page in PAGES if commands(page) and page.name not in ELSEWHERE]
QUICK = ("evaluate.report=False", "evaluate.nll_samples=2", "evaluate.max_examples=150")
TRAINING = ("train.num_epochs=1", "evaluate.metrics=", *QUICK)
JUDGING = ("evaluate.ais_examples=5", "evaluate.ais_chains=2", "evaluate.ais_temperatures=10", *QUICK)
OTHER_DATA = ((r":(mnist|celeb_a)$", ""), (r"(?<=-)mnist\b", "digits"), (r"(?<=num_epochs=)\d{3,}", "2"))


def adapted(argv: list[str]) -> list[str]:
    """The command on bundled data, with little training."""
    for pattern, by in OTHER_DATA:
        argv = [re.sub(pattern, by, arg) for arg in argv]
    named = {arg.partition("=")[0].removeprefix("--config.") for arg in argv}
    added = JUDGING if "--mode" in named else TRAINING if "--config" in named else ()
    if argv[0] in ("--config=vade", "--config=gmvae"):
        added += ("train.pretrain_epochs=1",)
    return argv + [f"--config.{setting}" for setting in added if setting.partition("=")[0] not in named]


def needed(argv: list[str]) -> list[str]:
    """The configs whose runs on the digits the command reads."""
    found = re.findall(
        r"(?:workdir|features|features\.run|stage_of)=runs/(\w+)-digits|^runs/(\w+)-digits$", "\n".join(argv), re.M
    )
    return ["".join(names) for names in found]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """The reader's folder: configs, and files of the kinds that pages name."""
    draws = np.random.default_rng(0)
    numbers = pd.DataFrame(draws.normal(size=(120, 3)), columns=["a", "b", "c"])
    kinds, groups, ages = (draws.choice(of, 120) for of in (["red", "white"], ["a", "b"], np.arange(20.0, 80.0)))
    numbers.assign(kind=kinds).to_csv(tmp_path / "wine.csv", index=False)
    numbers.assign(batch=groups, age=ages).to_csv(tmp_path / "cells.csv", index=False)
    numbers.mask(draws.uniform(size=(120, 3)) < 0.2).to_csv(tmp_path / "table.csv", index=False)
    np.savez(tmp_path / "new.npz", x=draws.integers(0, 17, (40, 8, 8, 1)) / 16, y=np.arange(40) % 10)
    np.savez(tmp_path / "wanted.npz", batch=np.array(["a", "b"]), age=np.array([30.0, 50.0]))
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copy(ROOT / "configs" / "vae_gan.py", tmp_path / "my_config.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pages_with_commands_are_found():
    assert len(WITH_COMMANDS) > 12
    assert {page.name for page in PAGES} >= ELSEWHERE.keys()


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=[page.name for page in WITH_COMMANDS])
def test_the_commands_of_a_page_run(page, workplace):
    for argv in commands(page):
        if any(arg.endswith(f".path={name}") for name in OF_READERS for arg in argv):
            continue
        if argv[0].startswith("--"):
            args = adapted(argv)
        else:
            args = [path for arg in argv for path in map(str, sorted(Path().glob(arg)) or [arg])]
        absent = [name for name in needed(args) if not Path(f"runs/{name}-digits").exists()]
        for each in (*(adapted([f"--config={name}"]) for name in absent), args):
            assert launch.main(["jaxvae", *each], time.time()) == 0, " ".join(each)
