"""The whole example of docs/own_parts.md, as a user would run it: from a folder of one's own, outside the repository."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "own_parts.md").read_text()
FILES = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", DOC, re.DOTALL)
COMMANDS = re.search(r"```bash\n(.*?)```", DOC, re.DOTALL)


def run(folder: Path, *argv: str) -> str:
    env = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", *argv], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the example, after its two commands."""
    folder = tmp_path_factory.mktemp("user")
    for name, source in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(source)
    assert COMMANDS is not None
    for command in COMMANDS.group(1).splitlines():
        program, *argv = shlex.split(command)
        assert program == "jaxvae"
        run(folder, str(ROOT / "launch.py"), *argv)
    return folder


def test_the_run_keeps_the_dotted_names_and_all_options(folder):
    config = json.loads((folder / "runs/mine-some_digits/config.json").read_text())
    assert config["model"]["posterior"] == {"name": "my_pkg.parts:laplace"}
    assert config["model"]["prior"] == {"name": "my_pkg.parts:logistic", "scale": 0.5}
    assert config["network"] == {"name": "my_pkg.parts:swish", "hidden": 64}
    assert config["objective"] == {"name": "my_pkg.parts:renyi", "alpha": 0.3, "num_samples": 8}
    assert config["data"]["name"] == "my_pkg.data:some_digits"
    assert config["data"]["options"] == {"largest": 4}


def test_it_trains_on_the_data_of_the_function(folder):
    results = json.loads((folder / "runs/mine-some_digits/results.json").read_text())
    examples = results["data"]["examples"]
    assert sum(examples.values()) == 901  # the digits 0 to 4
    assert 20 < results["test"]["loss"] < 60
    assert results["test"]["nll"] < results["test"]["loss"] + 5


def test_it_samples_and_is_restored_in_python(folder):
    assert (folder / "runs/mine-some_digits/samples.npz").exists()
    assert run(folder, "use.py").strip() == "(16, 8, 8, 1)"
