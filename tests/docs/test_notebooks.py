"""The notebooks: executed as committed, small, true to their outputs; each name, link and command in them exists."""

import ast
import importlib
import re
import shlex

import notebooks
import pytest
import run_notebooks
from pages import ROOT, anchors

import jaxvae
from jaxvae.api.given import as_settings
from jaxvae.api.settings import changed, check
from jaxvae.api.suggestions import check_options
from jaxvae.cli.flags import parse
from jaxvae.cli.main import _flags
from jaxvae.experiment import configs
from jaxvae.experiment.plain import flatten

PATHS = run_notebooks.notebooks()
LARGEST = 150_000  # bytes
each = pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])


@each
def test_it_was_executed_in_order_and_is_small(path):
    assert path.stat().st_size < LARGEST
    found = notebooks.read(path)
    assert found["metadata"] == run_notebooks.METADATA
    assert [cell["id"] for cell in found["cells"]] == [f"cell-{i + 1}" for i in range(len(found["cells"]))]
    assert all(cell["metadata"].keys() <= {"tags"} for cell in found["cells"])
    code = notebooks.of_kind(found, "code")
    assert [cell["execution_count"] for cell in code] == [i + 1 for i in range(len(code))]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert not re.search(r"Warning|\d%\|", "".join(output["text"] for output in outputs))
    assert not re.search(r"/(?:home|root|tmp|work|Users|usr|opt)/", path.read_text(encoding="utf-8"))
    assert any("image/png" in output.get("data", {}) for output in outputs)


@each
def test_the_numbers_of_its_prose_are_in_its_outputs(path):
    found = notebooks.read(path)
    text = re.sub(r"\]\([^)]*\)|arXiv:[\d.]+|doi:\S+|`[^`]*`", "", notebooks.prose(found))
    code = notebooks.of_kind(found, "code")
    known = notebooks.numbers("\n".join(cell["source"] + "\n" + notebooks.texts(cell) for cell in code))
    for said in re.findall(r"(?<![\w.])\d+\.\d+", text):
        half = 0.5000001 * 10.0 ** -len(said.partition(".")[2])
        assert any(abs(number - float(said)) <= half for number in known), said


@each
def test_its_links_and_commands_are_understood(path):
    text = notebooks.prose(notebooks.read(path))
    assert "**Where next**" in text
    targets = [link.partition("#")[::2] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert len(targets) > 2
    for name, anchor in targets:
        assert (path.parent / name).exists(), name
        assert not anchor or anchor in anchors(path.parent / name), f"{name}#{anchor}"
    for command in re.findall(r"`jaxvae (-[^`]*)`", text):
        argv = shlex.split(command)
        first = [arg for arg in argv if arg.startswith("--config=")]
        given = ["--config=vae"] if not first or first[0].endswith(".py") else first  # a file that the notebook writes
        config = parse(["jaxvae", *given, *(arg for arg in argv if arg not in first)], _flags())
        check_options(flatten(config.to_dict()))


@each
def test_its_names_and_settings_exist(path):
    program = notebooks.program(notebooks.read(path))
    for node in ast.walk(program):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxvae"):
            module = importlib.import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Attribute) and re.fullmatch(r"jaxvae(\.\w+)+", ast.unparse(node)):
            found = jaxvae
            for name in ast.unparse(node).split(".")[1:]:
                found = getattr(found, name)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "jaxvae.fit":
            _check_call(node)


def _check_call(node: ast.Call) -> None:
    """Check the config and the settings of a call of `jaxvae.fit`, where they are literals."""
    first = node.args[0]
    name = first.value if isinstance(first, ast.Constant) else "vae"
    if name.endswith(".py"):
        return
    assert name in configs.installed()
    literal: dict = {}
    own = set()  # parts of the notebook itself, whose options only they know
    for keyword in node.keywords:
        try:
            literal[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            own.add(str(keyword.arg))
    given = {
        key.replace("__", "."): value
        for key, value in literal.items()
        if key not in ("workdir", "progress") and key.rpartition("__")[0] not in own
    }
    config = changed(configs.load(name), as_settings(given)[0])
    check(config)


def test_all_are_in_the_path_of_tutorials():
    text = (ROOT / "docs" / "tutorials.md").read_text()
    listed = re.findall(r"^notebooks/(\w+)$", text, flags=re.M)
    assert len(listed) >= 10
    assert sorted(listed) == [path.stem for path in PATHS]
    assert [name for name in listed if f"](notebooks/{name}.ipynb)" not in text] == []


@each
def test_pictures_of_pages_are_those_of_the_notebook(path):
    for file, content in run_notebooks.pictures(path, notebooks.read(path)).items():
        assert file.read_bytes() == content, f"{file.name}: python docs/run_notebooks.py {path.stem}"


def test_stale_outputs_are_seen():
    def notebook(*texts, tags=()):
        outputs = [{"output_type": "stream", "name": "stdout", "text": text} for text in texts]
        cell = {"cell_type": "code", "metadata": {"tags": list(tags)}, "execution_count": 1, "outputs": outputs}
        return {"cells": [cell]}

    assert notebooks.differences(notebook("loss 23.75 nats, 1,000 rows"), notebook("loss  24.1 nats, 1,001 rows")) == []
    assert notebooks.differences(notebook("loss 23.75"), notebook("loss 28.1"))
    assert notebooks.differences(notebook("loss 23.75"), notebook("nll 23.75"))
    assert notebooks.differences(notebook("loss 23.75"), notebook("loss 23.75", "more"))
    assert notebooks.differences(notebook("a cat", tags=["varies"]), notebook("a dog", tags=["varies"])) == []
    assert notebooks.differences(notebook("a cat", tags=["varies"]), notebook("a", "b", tags=["varies"]))


def test_outputs_are_cleaned():
    bar = "\rvae:  50%|█████     | 5/10 [00:01<00:03,  5.5step/s]"
    picture = {"output_type": "display_data", "data": {"text/plain": "<Figure>"}, "metadata": {"image/png": {}}}
    outputs = [
        {"output_type": "stream", "name": "stderr", "text": bar},
        {"output_type": "stream", "name": "stderr", "text": f"{bar}\nA note.\n{bar}, loss=1]\n"},
        picture,
    ]
    cell = {"cell_type": "code", "id": "x", "metadata": {"execution": {"a": 1}, "tags": ["varies"]}, "outputs": outputs}
    found = run_notebooks.cleaned({"metadata": {"a": 1}, "cells": [cell]})
    assert found["metadata"] == run_notebooks.METADATA
    assert (cell["id"], cell["metadata"]) == ("cell-1", {"tags": ["varies"]})
    assert [output.get("text") for output in cell["outputs"]] == ["A note.", None]
    assert cell["outputs"][1]["metadata"] == {}


@pytest.mark.slow
@each
def test_it_runs_and_its_outputs_are_not_stale(path, tmp_path):
    import nbformat

    fresh = tmp_path / path.name
    nbformat.write(run_notebooks.run(path), fresh)
    assert notebooks.differences(notebooks.read(path), notebooks.read(fresh)) == []
