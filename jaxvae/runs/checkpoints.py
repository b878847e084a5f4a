"""Save and restore checkpoints with Orbax: host arrays, verified by checksums, without pickles."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jaxvae.common.errors import UserError, advice, first_line
from jaxvae.common.optional import require
from jaxvae.common.types import Tree
from jaxvae.runs.checkpoint_reader import (
    NOT_MEASURED,
    Reader,
    checksum,
    damage,
    difference,
    is_step,
    log,
    read_info,
    score,
    shapes,
)
from jaxvae.train import sharding

KEEP_LATEST = 2  # the second in case the first is damaged
FIRST_REST = ("opt_state", "step")  # entries of "rest" in checkpoints of the first version, which do not name them
REMOVED = "removed"  # folder of older checkpoints that await their removal
NONE, ALL_DAMAGED = -1, -2  # sent by process 0 instead of a step


class Checkpoints:
    """Manage the checkpoints of one run: the latest two, and the best by the score of `train.select`.

    A checkpoint holds "weights" (parameters and the objective's extra state), apart from the "rest" (optimiser state
    and so on) which a restored model does not need, and "info": plain JSON with a checksum for each, since Orbax
    notices a truncated file but not a flipped bit.
    """

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        if jax.process_index() == 0:
            self._clear_removed()
            self._set_aside_unreadable()
        sharding.wait_for_all("looked for damage")
        self._orbax = require("orbax.checkpoint")  # late: a run in memory does without it
        self._manager = self._make_manager()
        self._reader = Reader(self.folder)

    def _make_manager(self) -> Any:
        ocp = self._orbax
        policies = ocp.checkpoint_managers
        best = policies.BestN(get_metric_fn=_loss, reverse=True, n=1, keep_checkpoints_without_metrics=False)
        return ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(KEEP_LATEST), best]),
                best_fn=_loss,
                best_mode="min",
                cleanup_tmp_directories=True,
                save_root_metadata=False,
                todelete_subdir=REMOVED,  # renamed, then removed, so a kill leaves no half checkpoint
            ),
        )

    def save(self, step: int, weights: Tree, rest: Tree, info: dict[str, Any], score: float | None = None) -> None:
        """Start to save host arrays in the background; an existing checkpoint of this step is kept.

        Args:
          step: the number of steps done.
          weights: nested dictionaries of arrays, as `Reader.weights` returns them.
          rest: the rest of the state.
          info: JSON to save with it.
          score: lower is better, by default the validation loss; None where it was not measured.

        Raises:
          UserError: this checkpoint or the previous one could not be written.
        """
        if step in self._manager.all_steps():
            return
        info = {
            **info,
            "checksums": {"weights": checksum(weights), "rest": checksum(rest)},
            "shapes": shapes(weights),
            "rest": sorted(rest),
        }
        orbax = self._orbax.args
        args = orbax.Composite(
            weights=orbax.StandardSave(weights), rest=orbax.StandardSave(rest), info=orbax.JsonSave(info)
        )
        with self._writing():
            self._manager.wait_until_finished()
            self._clear_removed()
            self._reserve(sum(leaf.nbytes for leaf in jax.tree.leaves((weights, rest))))
            self._manager.save(step, args=args, metrics={"loss": NOT_MEASURED if score is None else score})

    def restore_latest(
        self, weights: Tree, rest: Tree, check: Callable[[dict[str, Any]], None] = lambda info: None
    ) -> tuple[int, Tree, Tree, dict[str, Any]] | None:
        """Return `(step, weights, rest, info)` of the newest sound checkpoint, None where there are no checkpoints.

        Damaged ones are moved aside with a warning. Process 0 chooses the step for all.

        Args:
          weights: template of structure, shapes and types.
          rest: template; an entry that a checkpoint of an older version lacks keeps its value.
          check: called with the info before the arrays are read; raises UserError to refuse it.

        Raises:
          UserError: all checkpoints are damaged.
          OSError, MemoryError: see `damage`.
        """

        def read(step: int) -> dict[str, Any]:
            info = self._reader.info(step)
            check(info)
            if differing := difference(shapes(weights), info["shapes"]):
                raise ValueError(f"it has another layout: {differing}")
            names = info.get("rest", FIRST_REST)
            if not {*FIRST_REST} & {*rest} <= {*names}:
                raise ValueError("its info lacks a part of the state")
            saved = {name: rest[name] for name in names}
            found = self._reader.arrays(step, weights=weights, rest=saved)
            return {**found, "rest": {**rest, **found["rest"]}}

        step, found = self._newest_sound(read) if jax.process_index() == 0 else (NONE, None)
        step = sharding.agree(step)
        if step == NONE:
            return None
        if step == ALL_DAMAGED:
            raise UserError(
                f"No checkpoint in '{self.folder}' is sound: steps {self._reader.steps()} are all damaged. Restore the "
                "folder from a copy, or start again with another --workdir; a run of another layout resumes with the "
                "version of jaxvae, and of your own parts, that trained it."
            )
        self._manager.reload()
        found = found or read(step)
        return step, found["weights"], found["rest"], found["info"]

    def _newest_sound(self, read: Callable[[int], dict[str, Any]]) -> tuple[int, dict[str, Any] | None]:
        """Return the newest sound step and `read(step)`; damaged ones are moved aside once a sound one is found."""
        damaged = []
        for step in self._reader.steps():
            try:
                found = read(step)
            except UserError:
                raise
            except Exception as error:  # Orbax, TensorStore and JSON raise their own types
                told = damage(error, self.folder)
                log.warning("The checkpoint of step %d is damaged (%s); trying the one before it.", step, told)
                damaged.append(step)
            else:
                for bad in damaged:
                    self._set_aside(str(bad))
                return step, found
        return ALL_DAMAGED if damaged else NONE, None

    def wait(self) -> None:
        """Wait until everything is on the disk; raise UserError where it could not be written."""
        with self._writing():
            self._manager.wait_until_finished()
            self._clear_removed()

    def close(self) -> None:
        """Wait as `wait` does, and release Orbax's resources."""
        self._reader.close()
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.close()
            self._clear_removed()

    def _clear_removed(self) -> None:
        """Delete the older checkpoints marked for removal, also by an earlier process that was killed."""
        if jax.process_index() == 0:
            shutil.rmtree(self.folder / REMOVED, ignore_errors=True)

    def _reserve(self, size: int) -> None:
        """Check for disk space and quota first: Orbax would fail in threads, with pages of stack traces."""
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
        """Turn errors of Orbax's background writes, which the next call raises with any type, into UserErrors."""
        try:
            yield
        except (MemoryError, jax.errors.JaxRuntimeError):  # the latter: another host was lost
            raise
        except Exception as error:
            what_to_do = advice(error) or (
                " Free some space, or give another --workdir. Checkpoints saved before are kept, and the same command "
                "resumes from them."
            )
            raise UserError(
                f"A checkpoint could not be written to '{self.folder}': {first_line(error)}.{what_to_do}"
            ) from error

    def _set_aside_unreadable(self) -> None:
        """Move unreadable checkpoints aside: Orbax reads all their JSON on opening, so one bad file blocks the rest."""
        for folder in sorted(self.folder.glob("[0-9]*")):
            if not folder.name.isdecimal():
                continue
            try:
                if not is_step(folder.name):
                    raise ValueError("its name is not a step")
                read_info(folder)
                if (folder / "metrics" / "metrics").exists():
                    score(folder)
            except (OSError, ValueError) as error:
                told = damage(error, folder)
                log.warning("The checkpoint of step %s is damaged (%s); it is moved aside.", folder.name, told)
                self._set_aside(folder.name)

    def _set_aside(self, name: str) -> None:
        target = self.folder.parent / "damaged"
        target.mkdir(exist_ok=True)
        free = next(n for n in range(1000) if not (target / f"{name}.{n}").exists())
        (self.folder / name).rename(target / f"{name}.{free}")


def _loss(metrics: dict[str, float]) -> float:
    return metrics["loss"]
