"""Reading checkpoints: verified host arrays out, never a pickle, and nothing in the folder is changed."""

import json
import logging
import math
import os
import re
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxvae.common.errors import UserError, first_line
from jaxvae.common.types import Tree

NOT_MEASURED = math.inf  # the validation loss of a state that was saved without one: never the best
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)  # of what the system says, this alone is damage
log = logging.getLogger("jaxvae")


class Reader:
    """Reads the checkpoints of one run, each process for itself; see `Checkpoints` for what they hold."""

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise UserError(f"There are no checkpoints in '{folder}'. Give the --workdir of a run that was trained.")
        self.folder = folder.absolute()
        me = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"reader{me}"
        )
        handler = ocp.CompositeCheckpointHandler(composite_options=ocp.CompositeOptions(multiprocessing_options=alone))
        # Orbax's manager would read every checkpoint's metrics, sound or not, when it is made.
        self._checkpointer = ocp.Checkpointer(handler, multiprocessing_options=alone)

    def steps(self) -> list[int]:
        """The steps on the disk, newest first; what is half written has another kind of name."""
        return sorted((int(p.name) for p in self.folder.iterdir() if p.name.isdigit()), reverse=True)

    def info(self, step: int) -> dict[str, Any]:
        """The JSON that was saved with a step."""
        return self._read(step, info=ocp.args.JsonRestore())["info"]

    def arrays(self, step: int, **targets: Tree) -> dict[str, Any]:
        """What is named like each of `targets`, which give structure, shapes and types; and "info".

        Raises:
          ValueError: a checksum is wrong; or whatever Orbax, TensorStore and JSON raise.
        """
        args = {name: ocp.args.StandardRestore(tree) for name, tree in targets.items()}
        found = self._read(step, info=ocp.args.JsonRestore(), **args)
        for name in targets:
            if checksum(found[name]) != found["info"]["checksums"][name]:
                raise ValueError(f"the checksum of its {name} is wrong")
        return found

    def weights(self, which: str = "best") -> tuple[int, Tree, dict[str, Any]]:
        """`(step, weights, info)` of one checkpoint; a damaged one is passed over, and said to be.

        Args:
          which: "best" by validation loss (the last one where none was measured), "last", or a step.

        Raises:
          UserError: there is no such checkpoint.
          OSError, MemoryError: see `damage`.
        """
        steps = self.steps()
        best = min(steps, key=self._validation_loss, default=None)  # of equal ones the latest
        if which == "best" and best is not None:
            steps = [best, *(step for step in steps if step != best)]
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
        """Gives back what Orbax holds."""
        self._checkpointer.close()

    def _read(self, step: int, **args: Any) -> dict[str, Any]:
        found: Any = self._checkpointer.restore(self.folder / str(step), args=ocp.args.Composite(**args))
        return dict(found.items())

    def _validation_loss(self, step: int) -> float:
        try:
            return validation_loss(self.folder / str(step))
        except (OSError, ValueError, KeyError, TypeError) as error:
            damage(error, self.folder)
            return NOT_MEASURED


def validation_loss(folder: Path) -> float:
    """What `folder`, one checkpoint, was saved with."""
    return json.loads((folder / "metrics" / "metrics").read_text())["loss"]


def damage(error: Exception, folder: Path) -> str:
    """One line on the damage that `error` tells of; raises it where the fault is not the checkpoint's.

    Raises:
      MemoryError: the memory is full.
      OSError: the system did not let us read what is there.
    """
    told = re.search(r"os_error_code='(\d+)'", str(error))  # TensorStore says it in the text of a ValueError
    if told and not isinstance(error, OSError):
        error = OSError(int(told[1]), os.strerror(int(told[1])), str(folder))
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and not isinstance(error, ABSENT)):
        raise error
    return first_line(error)


def shapes(tree: Tree) -> Tree:
    """The shapes and types of a dictionary of arrays, as JSON."""
    if isinstance(tree, dict):
        return {name: shapes(value) for name, value in tree.items()}
    return [list(tree.shape), str(tree.dtype)]


def _empty(described: Tree) -> Tree:
    if isinstance(described, dict):
        return {name: _empty(value) for name, value in described.items()}
    return np.empty(described[0], described[1])


def checksum(tree: Tree) -> int:
    """Of all the bytes of a tree of arrays."""
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), value)
    return value
