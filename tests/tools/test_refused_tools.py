"""Mistakes in the options of tools, and models that a tool does not fit."""

import numpy as np
import pytest
from tool_runs import QUICK, launched, options

import jaxvae
from jaxvae.tools import TOOLS, resolved


def test_the_options_that_were_not_given_are_known():
    assert resolved({"name": "interpolate", "steps": 3}) == {
        "name": "interpolate", "num": 8, "steps": 3, "path": "linear", "first": 0,
    }  # fmt: skip
    assert all(resolved({"name": name}).keys() >= {"name"} | QUICK.get(name, {}).keys() for name in TOOLS)


@pytest.mark.slow
def test_as_many_pseudo_inputs_as_there_are_training_examples(digits, refused, capsys):
    size = len(jaxvae.data.load().train.x)
    assert size > 1000
    argv = f"--workdir={digits}", "--mode=sample", "--config.sample.num=2", "--config.sample.sampler=pseudo_inputs"
    launched(*argv, f"--config.sample.sampler.components={size}")
    capsys.readouterr()
    message = refused(*argv, f"--config.sample.sampler.components={size + 1}")
    assert f"components={size + 1}, but there are only {size} training examples" in message


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("interpolat", {}, "Unknown tool 'interpolat'. Did you mean 'interpolate'?"),
        ("interpolate", {"step": 3}, "Unknown option 'step' of the tool 'interpolate'. Did you mean 'tool.steps'?"),
        ("interpolate", {"steps": "many"}, "steps='many'; it must be of type int"),
        ("interpolate", {"num": 2.5}, "num=2.5; it must be of type int"),
        ("interpolate", {"run": 1}, "Unknown option 'run' of the tool 'interpolate'"),
        ("interpolate", {"first": 358}, "first=358 and num=8, but a pair needs two test examples"),
        ("interpolate", {"first": 999, "num": 2}, "the test set has the examples 0 to 358"),
        ("interpolate", {"first": -1}, "first=-1; it must be 0 or more"),
        ("traverse", {"index": 359}, "index=359; the test set has the examples 0 to 358"),
        ("analogy", {"c": 400}, "c=400; the test set has"),
        ("attribute", {"positive": 77}, "no code of class 77. Classes of the labels: 0, 1, 2"),
        ("attribute", {"negative": 77}, "no code of class 77"),
        ("search", {"target": 77}, "No training example is of class 77; classes: 0, 1, 2"),
        ("impute", {"mask": "no.npy"}, "The mask 'no.npy' cannot be read"),
        ("impute", {"part": 0.01}, "every value as observed"),
    ],
)
def test_a_mistake_is_refused(name, given, said, digits, refused):
    assert said in refused(f"--workdir={digits}", "--mode=tool", *options(name, **given))


@pytest.mark.slow
def test_a_mask_that_does_not_fit_is_refused(digits, refused, tmp_path):
    path = tmp_path / "mask.npy"
    for content, said in ((np.ones((7, 8, 1), bool), "[7, 8, 1]"), (np.ones((8, 8, 1)), "float64")):
        np.save(path, content)
        assert said in refused(f"--workdir={digits}", "--mode=tool", *options("impute", mask=path))
    path.write_bytes(b"")
    assert "cannot be read" in refused(f"--workdir={digits}", "--mode=tool", *options("impute", mask=path))
    with path.open("wb") as file:
        np.savez(file, mask=np.ones(3))
    assert "not a single array" in refused(f"--workdir={digits}", "--mode=tool", *options("impute", mask=path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["analogy", "attribute", "impute", "interpolate", "search", "traverse"])
def test_a_tool_of_continuous_latents_refuses_codes(name, codes, refused):
    message = refused(f"--workdir={codes}", "--mode=tool", *options(name))
    assert ("likelihood" if name == "impute" else "diagonal_gaussian") in message
    assert not list((codes / "tools").glob(f"{name}.*"))
