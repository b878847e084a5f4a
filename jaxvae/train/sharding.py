"""Data parallelism: the step is written once for the whole batch, then placed on 1 or N devices of 1 or N hosts.

`global_view` is `jit` over a mesh whose one axis, `data`, splits the batch; XLA inserts the sums over devices.
`per_device` runs the same step under `jax.pmap`: each device sees its part of the batch and draws its own noise.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Tree

AXIS = "data"
MODES = ("jit", "pmap")


class Parallel(NamedTuple):
    """One way to place arrays and to compile the many-step function.

    Attributes:
      num_devices: number of devices that share a batch, over all hosts.
      replicate: host or local tree to the same values on every device.
      shard: host tree `[num_steps, batch, ...]`, the same on every host, to batches split over the devices.
      compile: `(many(state, resident, items) -> (state, metrics)) -> compiled`; the state is donated.
      collect: a replicated tree to one ordinary global array per leaf.
      axis_name: the axis over which the step must average its gradients itself; None under `jit`.
    """

    num_devices: int
    replicate: Callable[[Tree], Tree]
    shard: Callable[[Tree], Tree]
    compile: Callable[[Callable], Callable]
    collect: Callable[[Tree], Tree]
    axis_name: str | None = None


def make_parallel(mode: str, batch_size: int, whole_batch: str = "") -> Parallel:
    """Choose `global_view` (mode "jit") or `per_device` ("pmap"), over all devices of all hosts.

    Args:
      mode: "jit" or "pmap".
      batch_size: size of the global batch.
      whole_batch: why the objective needs the whole batch at once, which pmap cannot give; "" if it does not.

    Raises:
      UserError: an unknown mode, a batch that the devices do not divide, or pmap with a whole-batch objective.
    """
    if mode not in MODES:
        raise unknown("value of parallel", mode, MODES)
    num = jax.device_count()
    if batch_size % num:
        near = max(num, batch_size // num * num)
        raise UserError(
            f"train.batch_size is {batch_size}, which {num} devices cannot share equally; take a multiple of {num}, "
            f"{near} for example, or run on fewer devices."
        )
    if mode == "pmap" and whole_batch:
        raise UserError(
            f"This objective needs the whole batch at once ({whole_batch}), but under pmap each device sees only its "
            "part. Run it with --config.parallel=jit."
        )
    return global_view() if mode == "jit" else per_device()


def global_view(devices: Sequence[Any] | None = None) -> Parallel:
    """Use `jit` over a mesh of `devices` (all by default): the same results for any number of them, to rounding."""
    devices = jax.devices() if devices is None else devices
    mesh = Mesh(np.asarray(devices), (AXIS,))
    replicated = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(None, AXIS))

    def put(tree, sharding):
        if jax.process_count() == 1:
            return jax.device_put(tree, sharding)
        return jax.tree.map(lambda x: _global_array(np.asarray(x), sharding), tree)

    def compile_(many):
        shardings = {"in_shardings": (replicated, replicated, split), "out_shardings": replicated}
        return jax.jit(many, donate_argnums=0, **shardings)

    return Parallel(
        num_devices=len(devices),
        replicate=lambda tree: put(tree, replicated),
        shard=lambda tree: put(tree, split),
        compile=compile_,
        collect=lambda tree: tree,
    )


def per_device() -> Parallel:
    """Use `jax.pmap`: every array has a leading axis of this host's devices."""
    local, first = jax.local_device_count(), jax.process_index() * jax.local_device_count()
    mesh = Mesh(np.asarray(jax.local_devices()), (AXIS,))
    stacked = NamedSharding(mesh, PartitionSpec(AXIS))

    def replicate(tree):
        return jax.tree.map(lambda x: jax.device_put(np.broadcast_to(x, (local, *np.shape(x))), stacked), tree)

    def shard(tree):  # [steps, batch, ...] -> [local devices, steps, batch / devices, ...]
        def one(x):
            parts = np.split(x, jax.device_count(), axis=1)[first : first + local]
            return jax.device_put(np.stack(parts), stacked)

        return jax.tree.map(one, tree)

    return Parallel(
        num_devices=jax.device_count(),
        replicate=replicate,
        shard=shard,
        compile=lambda many: jax.pmap(many, axis_name=AXIS, donate_argnums=0),
        collect=lambda tree: jax.tree.map(lambda x: x.addressable_shards[0].data[0], tree),  # this host's own copy
        axis_name=AXIS,
    )


def _global_array(x: np.ndarray, sharding: NamedSharding) -> jax.Array:
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def wait_for_all(name: str) -> None:
    """Wait until every process of the run has reached this barrier."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def agree(number: int) -> int:
    """Broadcast the number of process 0, so that all processes make the same decision."""
    return number if jax.process_count() == 1 else int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def start_hosts(
    coordinator: str = "", num_processes: int = 0, process_id: int = -1, heartbeat_timeout: int = 100
) -> None:
    """Join the processes of all hosts into one program; call this before any other use of JAX.

    Without arguments, a SLURM job of several tasks is found by its environment, and anything else is a single process.

    Args:
      coordinator: "host:port" of process 0.
      num_processes: number of processes over all hosts; needed with a coordinator.
      process_id: the rank of this process, from 0; needed with a coordinator.
      heartbeat_timeout: seconds without a heartbeat after which JAX regards a process as lost and ends the others.

    Raises:
      UserError: an explicit start that is incomplete, or hosts that do not meet.
    """
    explicit = coordinator or num_processes or process_id >= 0
    host, _, port = coordinator.rpartition(":")
    if explicit and not (host and port.isdigit() and 0 <= process_id < num_processes):
        raise UserError(
            f"Several hosts need all of --coordinator=HOST:PORT, --num_processes=N and --process_id=0..N-1; given were "
            f"'{coordinator}', {num_processes} and {process_id}."
        )
    if not explicit and int(os.environ.get("SLURM_NTASKS", "1")) < 2:
        return
    if not explicit and "SLURM_STEP_NODELIST" not in os.environ:
        return  # inside an allocation but not under srun: one process
    try:
        if explicit:
            jax.distributed.initialize(
                coordinator, num_processes, process_id, heartbeat_timeout_seconds=heartbeat_timeout
            )
        else:
            jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat_timeout)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"The hosts did not find each other: {error}") from error
