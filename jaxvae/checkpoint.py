"""A thin wrapper of Orbax: host arrays in, verified host arrays out, never a pickle."""

import contextlib
import json
import logging
import math
import os
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from jaxvae.errors import UserError
from jaxvae.types import Tree

NOT_MEASURED = math.inf  # the validation loss of a state that was saved without one: never the best
KEEP_LATEST = 2  # the second is there for the day the first is damaged
log = logging.getLogger("jaxvae")


class Checkpoints:
    """The checkpoints of one run: the latest two and the best by validation loss.

    A checkpoint holds "weights" (parameters, and what else a model is used with) apart from the "rest" of a state (the
    optimiser), so that a model is read without it, and "info": plain JSON with a checksum for each, since Orbax
    notices a truncated file but not a flipped bit.
    """

    def __init__(self, folder: Path, to_write: bool = True):
        self.folder = folder.absolute()
        if not to_write and not folder.is_dir():
            raise UserError(f"There are no checkpoints in '{folder}'. Give the --workdir of a run that was trained.")
        if to_write and jax.process_index() == 0:
            self._set_aside_unreadable()
        self._reader = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        # The manager reads every checkpoint's metrics, sound or not, when it is made: a reader goes without.
        self._manager: Any = self._make_manager() if to_write else None

    def _make_manager(self) -> ocp.CheckpointManager:
        best = policies.BestN(get_metric_fn=_loss, reverse=True, n=1, keep_checkpoints_without_metrics=False)
        return ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(KEEP_LATEST), best]),
                best_fn=_loss,
                best_mode="min",
                cleanup_tmp_directories=True,
                save_root_metadata=False,
            ),
        )

    def _steps(self) -> list[int]:
        """The steps on the disk, newest first; what is half written has another kind of name."""
        return sorted((int(p.name) for p in self.folder.iterdir() if p.name.isdigit()), reverse=True)

    def save(self, step: int, weights: Tree, rest: Tree, info: dict[str, Any], loss: float | None = None) -> None:
        """Starts to save host arrays in the background; a step that is there already is left as it is.

        Args:
          step: the number of steps done.
          weights: nested dictionaries of arrays, what `restore_weights` gives back.
          rest: what else the state is made of.
          info: JSON to keep beside it.
          loss: the validation loss, None where it was not measured.

        Raises:
          UserError: this one or the one before could not be written.
        """
        if step in self._manager.all_steps():
            return
        info = {
            **info,
            "checksums": {"weights": _checksum(weights), "rest": _checksum(rest)},
            "shapes": shapes(weights),
        }
        args = ocp.args.Composite(
            weights=ocp.args.StandardSave(weights), rest=ocp.args.StandardSave(rest), info=ocp.args.JsonSave(info)
        )
        with self._writing():
            self._manager.wait_until_finished()
            self._reserve(sum(leaf.nbytes for leaf in jax.tree.leaves((weights, rest))))
            self._manager.save(step, args=args, metrics={"loss": NOT_MEASURED if loss is None else loss})

    def restore_latest(self, weights: Tree, rest: Tree) -> tuple[int, Tree, Tree, dict[str, Any]] | None:
        """`(step, weights, rest, info)` of the newest sound checkpoint, None where there is none at all.

        A damaged one is moved aside, said to be, and the one before it taken. The arguments give structure, shapes
        and types.

        Raises:
          UserError: there are checkpoints but none of them is sound.
        """
        damaged = []
        for step in self._steps():
            try:
                found = self._restore(step, {"weights": weights, "rest": rest})
            except Exception as error:  # Orbax, TensorStore and JSON all raise types of their own
                damaged.append(step)
                log.warning(
                    "The checkpoint of step %d is damaged (%s); trying the one before it.", step, _first_line(error)
                )
                continue
            for bad in damaged:
                self._set_aside(bad)
            if damaged:
                self._manager.reload()
            return step, found["weights"], found["rest"], found["info"]
        if damaged:
            raise UserError(
                f"No checkpoint in '{self.folder}' is sound: steps {damaged} are all damaged. Restore the folder from "
                "a copy, or start again with another --workdir."
            )
        return None

    def restore_weights(self, which: str = "best") -> tuple[int, Tree, dict[str, Any]]:
        """`(step, weights, info)` of one checkpoint; a damaged one is passed over, and said to be.

        Args:
          which: "best" by validation loss (the last one where none was measured), "last", or a step.

        Raises:
          UserError: there is no such checkpoint.
        """
        steps = self._steps()
        best = min(steps, key=self._validation_loss, default=None)  # of equal ones the latest
        if which == "best" and best is not None:
            steps = [best, *(step for step in steps if step != best)]
        elif which not in ("best", "last"):
            steps = [step for step in steps if str(step) == str(which)]
        for step in steps:
            try:
                info = self.info(step)
                found = self._restore(step, {"weights": _empty(info["shapes"])})
                return step, found["weights"], found["info"]
            except Exception as error:  # as above
                log.warning("The checkpoint of step %d is damaged (%s).", step, _first_line(error))
        there = ", ".join(map(str, reversed(self._steps()))) or "none"
        raise UserError(f"There is no sound checkpoint '{which}' in '{self.folder}'; steps there: {there}.")

    def info(self, step: int) -> dict[str, Any]:
        """The JSON that was saved with a step."""
        info: Any = self._reader.restore(self.folder / str(step), args=ocp.args.Composite(info=ocp.args.JsonRestore()))
        return info["info"]

    def wait(self) -> None:
        """Waits until all is on the disk; raises UserError where it could not be written."""
        with self._writing():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """As `wait`, and gives back what Orbax holds."""
        self._reader.close()
        if self._manager is not None:
            with self._writing():
                self._manager.wait_until_finished()
                self._manager.close()

    def _validation_loss(self, step: int) -> float:
        try:
            return _loss(json.loads((self.folder / str(step) / "metrics" / "metrics").read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return NOT_MEASURED

    def _reserve(self, size: int) -> None:
        """Asks the disk for room first, quotas included: Orbax would find out in threads, with pages of traces."""
        if jax.process_index() != 0 or not hasattr(os, "posix_fallocate"):
            return
        probe = self.folder / ".room"
        try:
            with probe.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size + size // 8 + 2**14)
        finally:
            probe.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self):
        """Orbax writes in the background and raises what went wrong there, of any type, at the next call."""
        try:
            yield
        except Exception as error:
            raise UserError(
                f"A checkpoint could not be written to '{self.folder}': {_first_line(error)}. Free some space, or give "
                "another --workdir. Checkpoints saved before are kept, and the same command goes on from them."
            ) from error

    def _restore(self, step: int, targets: dict[str, Tree]) -> dict[str, Any]:
        args = {name: ocp.args.StandardRestore(tree) for name, tree in targets.items()}
        restored: Any = self._reader.restore(
            self.folder / str(step), args=ocp.args.Composite(info=ocp.args.JsonRestore(), **args)
        )
        found = dict(restored.items())
        for name in targets:
            if _checksum(found[name]) != found["info"]["checksums"][name]:
                raise ValueError(f"the checksum of its {name} is wrong")
        return found

    def _set_aside_unreadable(self) -> None:
        """Orbax reads the JSON of every checkpoint when it opens the folder: one bad file would lock the others in."""
        for folder in self.folder.glob("[0-9]*"):
            if not folder.name.isdigit():
                continue
            try:
                json.loads((folder / "info" / "metadata").read_text())
                for file in folder.glob("metrics/metrics"):
                    _loss(json.loads(file.read_text()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning(
                    "The checkpoint of step %s is damaged (%s); it is left out.", folder.name, _first_line(error)
                )
                self._set_aside(int(folder.name))

    def _set_aside(self, step: int) -> None:
        if jax.process_index() == 0 and (self.folder / str(step)).exists():
            target = self.folder.parent / "damaged"
            target.mkdir(exist_ok=True)
            free = next(n for n in range(1000) if not (target / f"{step}.{n}").exists())
            (self.folder / str(step)).rename(target / f"{step}.{free}")


def shapes(tree: Tree) -> Tree:
    """The shapes and types of a dictionary of arrays, as JSON."""
    if isinstance(tree, dict):
        return {name: shapes(value) for name, value in tree.items()}
    return [list(tree.shape), str(tree.dtype)]


def _empty(described: Tree) -> Tree:
    if isinstance(described, dict):
        return {name: _empty(value) for name, value in described.items()}
    return np.empty(described[0], described[1])


def _checksum(tree: Tree) -> int:
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), value)
    return value


def _loss(metrics: dict[str, float]) -> float:
    return metrics["loss"]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
