"""Keep the weights of a run in one `.safetensors` file, which replaces its checkpoints where it is not trained on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError, first_line
from jaxvae.common.files import check_regular
from jaxvae.common.optional import require
from jaxvae.common.types import Tree
from jaxvae.experiment.plain import flatten
from jaxvae.runs.checkpoint_reader import checksum, shapes

NAME = "model.safetensors"
NOT_INFO = ("checksums", "shapes", "rest", "progress")  # of a checkpoint; the file has its own, and is not resumed


def write_weights(path: Path, step: int, weights: Tree, info: Mapping[str, Any]) -> None:
    """Write weights, nested dictionaries of arrays, under their dotted names; step and info are the file's metadata."""
    kept = {name: value for name, value in info.items() if name not in NOT_INFO}
    kept |= {"checksums": {"weights": checksum(weights)}, "shapes": shapes(weights)}
    arrays = {name: np.asarray(array, order="C") for name, array in flatten(weights).items()}
    metadata = {"format": "jaxvae", "step": str(step), "info": json.dumps(kept)}
    path.write_bytes(require("safetensors.numpy").save(arrays, metadata))  # its own file would be private


def read_weights(path: Path) -> tuple[int, Tree, dict[str, Any]]:
    """Read `(step, weights, info)`, as of a checkpoint.

    Raises:
      UserError: the file cannot be read, was not written by `write_weights`, or a value in it has changed.
    """
    try:
        check_regular(path)
        with require("safetensors").safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != "jaxvae":
                raise ValueError("it was not written by jaxvae")
            step, info = int(metadata["step"]), json.loads(metadata["info"])
            weights = _nested(info["shapes"], {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        if checksum(weights) != info["checksums"]["weights"]:
            raise ValueError("its checksum is wrong")
    except UserError:
        raise
    except Exception as error:  # safetensors raises a type of its own
        raise UserError(
            f"The weights '{path}' cannot be read ({type(error).__name__}: {first_line(error)}). Restore the file from "
            "a copy, or export the run again."
        ) from error
    return step, weights, info


def is_exported(folder: Path) -> bool:
    """Return whether a folder holds the weights of a run in one file, without checkpoints."""
    return (folder / NAME).exists() and not (folder / "checkpoints").exists()


def refuse_training(folder: Path) -> None:
    """Raise UserError for a folder of exported weights: there is no optimiser state to go on from."""
    if is_exported(folder):
        raise UserError(
            f"'{folder}' holds the exported weights of a run, without the state of its optimiser: it cannot be trained "
            f"on. Train in another folder that starts from them: train.start_from={folder}."
        )


def _nested(template: Tree, arrays: Mapping[str, np.ndarray], prefix: str = "") -> Tree:
    """Put arrays with dotted names into the form of a tree of `shapes`."""
    if isinstance(template, dict):
        return {name: _nested(each, arrays, f"{prefix}{name}.") for name, each in template.items()}
    return arrays[prefix[:-1]]
