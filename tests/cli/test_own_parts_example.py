"""The whole example of docs/own_parts.md, run as by a user: from another folder, outside the repository."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import launch

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "own_parts.md").read_text()
FILES = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", DOC, re.DOTALL)
TRAIN, SAMPLE = (shlex.split(line) for line in DOC.split("```bash\n")[1].split("```")[0].splitlines())
QUICK = ("--config.evaluate.report=False", "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2")


@pytest.fixture(scope="module")
def user():
    """A working directory for a while; what is imported from it is forgotten again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        yield patch
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_pkg"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, user):
    """The files of the example, after its first command in a process of its own; it is the working directory."""
    folder = tmp_path_factory.mktemp("user")
    for name, source in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(source)
    assert TRAIN[0] == "jaxvae"
    env = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(ROOT / "launch.py"), *TRAIN[1:], *QUICK]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    user.chdir(folder)
    return folder


@pytest.mark.slow
def test_the_run_keeps_the_dotted_names_and_all_options(folder):
    config = json.loads((folder / "runs/mine-some_digits/config.json").read_text())
    assert config["model"]["posterior"] == {"name": "my_pkg.parts:laplace"}
    assert config["model"]["prior"] == {"name": "my_pkg.parts:logistic", "scale": 0.5}
    assert config["network"] == {"name": "my_pkg.parts:swish", "hidden": 64}
    assert config["objective"] == {"name": "my_pkg.parts:renyi", "alpha": 0.3, "num_samples": 8}
    assert config["data"]["name"] == "my_pkg.data:some_digits"
    assert config["data"]["options"] == {"largest": 4}


@pytest.mark.slow
def test_it_trains_on_the_data_of_the_function(folder):
    results = json.loads((folder / "runs/mine-some_digits/results.json").read_text())
    assert sum(results["data"]["examples"].values()) == 901  # the digits 0 to 4
    assert 20 < results["test"]["loss"] < 60  # 64 grey pixels cost at most 64 log 2 = 44 at a new decoder, and a KL


@pytest.mark.slow
def test_a_run_alone_imports_nothing_and_with_the_users_word_it_samples(folder, capsys, user):
    assert SAMPLE[0] == "jaxvae"
    alone = [arg for arg in SAMPLE if not arg.startswith("--import")]
    assert launch.main(alone, time.time()) == 2
    assert "is in the module 'my_pkg.parts', which is not imported" in capsys.readouterr().err
    assert "my_pkg" not in sys.modules
    assert launch.main(SAMPLE, time.time()) == 0
    assert (folder / "runs/mine-some_digits/samples.npz").exists()
    capsys.readouterr()
    user.setattr(sys, "path", [str(folder), *sys.path])  # as where `python use.py` is run
    runpy.run_path("use.py")
    assert capsys.readouterr().out == "(16, 8, 8, 1)\n"
