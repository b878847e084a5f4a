"""What the tests of a run's stages share: a small VaDE in a folder, and what its checkpoints hold."""

import contextlib
import time

import numpy as np

import launch
from jaxvae.experiment.plain import flatten
from jaxvae.runs.checkpoint_reader import Reader


def trains_vade(workdir, *argv):
    return launch.main(["launch.py", "--config=configs/vade.py", f"--workdir={workdir}", *argv], time.time())


def weights(workdir, which):
    with contextlib.closing(Reader(workdir / "checkpoints")) as reader:
        return flatten(reader.weights(which)[1])


def steps(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def same(found, expected):
    assert found.keys() == expected.keys()
    return all(np.array_equal(found[key], value) for key, value in expected.items())
