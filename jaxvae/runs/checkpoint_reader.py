"""Read checkpoints as verified host arrays, without pickles and without changing the folder."""

import logging
import math
import os
import re
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxvae.common.errors import UserError, first_line
from jaxvae.common.files import check_regular, read_json
from jaxvae.common.optional import require
from jaxvae.common.types import Tree
from jaxvae.experiment.plain import flatten

NOT_MEASURED = math.inf  # the validation loss of a state that was saved without one: never the best
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)  # the OS errors that mean damage
log = logging.getLogger("jaxvae")


class Reader:
    """Read the checkpoints of one run, in each process independently; see `Checkpoints` for their content."""

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise UserError(f"There are no checkpoints in '{folder}'. Give the --workdir of a run that was trained.")
        self.folder = folder.absolute()
        me, ocp = jax.process_index(), require("orbax.checkpoint")  # late: a run in memory does without it
        self._args = ocp.args
        alone = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"reader{me}"
        )
        handler = ocp.CompositeCheckpointHandler(composite_options=ocp.CompositeOptions(multiprocessing_options=alone))
        # Orbax's manager would read every checkpoint's metrics on construction, damaged ones too.
        self._checkpointer = ocp.Checkpointer(handler, multiprocessing_options=alone)

    def steps(self) -> list[int]:
        """Return the steps on the disk, newest first; half-written checkpoints have other names."""
        return sorted((int(p.name) for p in self.folder.iterdir() if is_step(p.name)), reverse=True)

    def info(self, step: int) -> dict[str, Any]:
        """Read the JSON that was saved with a step.

        Raises:
          ValueError: a file of the checkpoint is not regular, or the JSON lacks checksums or shapes.
          OSError: see `damage`.
        """
        return read_info(self.folder / str(step))

    def arrays(self, step: int, **targets: Tree) -> dict[str, Any]:
        """Return the entries named in `targets`, templates of structure, shapes and types, and "info".

        Raises:
          ValueError: a checksum or a shape is wrong. Orbax, TensorStore and JSON raise other types too.
        """
        info = self.info(step)
        args = {name: self._args.StandardRestore(tree) for name, tree in targets.items()}
        found = self._read(step, **args)
        for name, target in targets.items():
            read, expected = ([np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (found[name], target))
            if read != expected:
                raise ValueError(f"the shapes of its {name} are wrong")
            if checksum(found[name]) != info["checksums"][name]:
                raise ValueError(f"the checksum of its {name} is wrong")
        return {**found, "info": info}

    def weights(self, which: str = "best") -> tuple[int, Tree, dict[str, Any]]:
        """Return `(step, weights, info)` of one checkpoint; damaged ones are skipped with a warning.

        Args:
          which: "best" by `train.select` (the last one where none was measured), "last", or a step.

        Raises:
          UserError: there is no such checkpoint.
          OSError, MemoryError: see `damage`.
        """
        steps = self.steps()
        if which == "best":
            best = min(steps, key=self._score, default=None)  # the latest of equal ones
            steps = [step for step in steps if step == best] + [step for step in steps if step != best]
        elif which not in ("best", "last"):
            steps = [step for step in steps if str(step) == str(which)]
        for step in steps:
            try:
                found = self.arrays(step, weights=_empty(self.info(step)["shapes"]))
                return step, found["weights"], found["info"]
            except Exception as error:  # of many types, see `arrays`
                log.warning("The checkpoint of step %d is damaged (%s).", step, damage(error, self.folder))
        there = ", ".join(map(str, reversed(self.steps()))) or "none"
        raise UserError(f"There is no sound checkpoint '{which}' in '{self.folder}'; steps there: {there}.")

    def close(self) -> None:
        """Release Orbax's resources."""
        self._checkpointer.close()

    def _read(self, step: int, **args: Any) -> dict[str, Any]:
        found: Any = self._checkpointer.restore(self.folder / str(step), args=self._args.Composite(**args))
        return dict(found.items())

    def _score(self, step: int) -> float:
        try:
            return score(self.folder / str(step))
        except (OSError, ValueError) as error:
            log.warning(
                "The score of the checkpoint of step %d is damaged (%s): it cannot be chosen as the best.",
                step, damage(error, self.folder),
            )  # fmt: skip
            return NOT_MEASURED


def is_step(name: str) -> bool:
    """Return whether this is the name of a checkpoint's folder: a whole number as Python writes it, below 10^18."""
    return re.fullmatch("0|[1-9][0-9]{0,17}", name) is not None


def score(folder: Path) -> float:
    """Read the score (lower is better) of one checkpoint, `folder`; raises OSError, or ValueError if it is invalid."""
    metrics = read_json(folder / "metrics" / "metrics")
    value = metrics.get("loss") if isinstance(metrics, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError("its loss is not a number")
    return value


def read_info(folder: Path) -> dict[str, Any]:
    """Read the JSON saved with one checkpoint, `folder`; see `Reader.info`.

    Every file of the checkpoint must be regular: Orbax and TensorStore would wait for ever at a named pipe.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            check_regular(Path(parent) / name)
    info = read_json(folder / "info" / "metadata")
    if not isinstance(info, dict) or not all(isinstance(info.get(key), dict) for key in ("checksums", "shapes")):
        raise ValueError("its info lacks checksums or shapes")
    return info


def damage(error: Exception, folder: Path) -> str:
    """Describe a damaged checkpoint in one line; raise `error` again where the checkpoint is not at fault.

    Raises:
      MemoryError: the memory is full.
      OSError: the system refused to read an existing file.
    """
    told = re.search(r"os_error_code='(\d+)'", str(error))  # TensorStore puts it in the text of a ValueError
    if told and not isinstance(error, OSError):
        error = OSError(int(told[1]), os.strerror(int(told[1])), str(folder))
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and not isinstance(error, ABSENT)):
        raise error
    return first_line(error)


def shapes(tree: Tree) -> Tree:
    """Return the shapes and types of a dictionary of arrays, as JSON."""
    if isinstance(tree, dict):
        return {name: shapes(value) for name, value in tree.items()}
    return [list(tree.shape), str(tree.dtype)]


def difference(here: Tree, there: Tree) -> str:
    """Describe the first array that differs between two trees of `shapes`, and count them; "" where all are equal."""
    new, old = flatten(here), flatten(there)
    keys = [key for key in new | old if new.get(key) != old.get(key)]
    if not keys:
        return ""
    sizes = ["{} {}".format(*each[keys[0]]) if keys[0] in each else "missing" for each in (old, new)]
    return f"{keys[0]} is {sizes[0]} there and {sizes[1]} here ({len(keys)} arrays differ)"


def _empty(described: Tree) -> Tree:
    if isinstance(described, dict):
        return {name: _empty(value) for name, value in described.items()}
    # Broadcast from a scalar: a template of any size costs no memory until Orbax reads the stored array.
    return np.broadcast_to(np.zeros((), described[1]), described[0])


def checksum(tree: Tree) -> int:
    """Return the CRC-32 of all the bytes of a tree of arrays."""
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), value)
    return value
