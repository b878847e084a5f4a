"""Runs of tools through the command line, on a small VAE of the digits."""

import json
import time

import numpy as np

import launch

DIGITS = ("--config=configs/vae.py", "--config.train.num_epochs=25", "--config.network.hidden=(64,)",
          "--config.optimizer.learning_rate=0.005", "--config.model.latent_dim=8",
          "--config.train.steps_per_call=50")  # fmt: skip
SHORT = ("--config.train.eval_every_epochs=100", "--config.evaluate.report=False",
         "--config.figures.draw=False", "--config.evaluate.nll_samples=2",
         "--config.evaluate.metrics=")  # fmt: skip
QUICK = {
    "impute": {"num": 20, "steps": 30, "burn_in": 10, "chains": 2, "nll_samples": 30},
    "search": {"target": 3, "num": 20, "steps": 100},
    "attribute": {"positive": 3},
}
IMAGE = (8, 8, 1)


def launched(*argv):
    assert launch.main(["launch.py", *argv], time.time()) == 0


def options(name, **given):
    return [f"--config.tool={name}", *(f"--config.tool.{key}={value}" for key, value in given.items())]


def use(workdir, name, **given):
    """Runs a tool; `(arrays, numbers)`."""
    launched(f"--workdir={workdir}", "--mode=tool", *options(name, **given))
    with np.load(workdir / "tools" / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays), json.loads((workdir / "tools" / f"{name}.json").read_text())
