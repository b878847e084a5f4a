"""Report the loss of a host in a run over several hosts: which one, and what to do.

JAX aborts the remaining processes from C++, with a stack trace and SIGABRT, which Python code cannot catch. So a small
second program reads their stderr, passes it on, and prints one paragraph instead of that stack trace.
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxvae.common.errors import UserError, first_line

LONGEST_NAME = 255  # bytes of a host's name
FILTER = Path(__file__).with_name("stderr_filter.py")


def host_names() -> list[str]:
    """Return the host name of each process, by rank. All processes must call this."""
    own = np.zeros(LONGEST_NAME, np.uint8)
    name = socket.gethostname().encode()[:LONGEST_NAME]
    own[: len(name)] = list(name)
    rows = np.asarray(multihost_utils.process_allgather(own)).reshape(-1, LONGEST_NAME)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in rows]


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Turn the loss of another process into one paragraph. Do nothing where there is a single process.

    Stderr is filtered until this process ends, because JAX disconnects at the very end, and may fail there.

    Raises:
      UserError: a computation over all hosts failed.
    """
    if jax.process_count() == 1:
        yield
        return
    _filter_stderr(host_names())
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise UserError(
            f"A computation over all hosts failed: {first_line(error)}. Most likely another process was lost; JAX "
            "notices which one within --host_timeout seconds. The checkpoints are kept: give the same command on all "
            "hosts again, and the run resumes from the newest checkpoint."
        ) from error


def _filter_stderr(hosts: list[str]) -> None:
    """Send all that this process writes to stderr, from Python or C++, through the filter."""
    sys.stderr.flush()
    read, write = os.pipe()
    # Isolated, and without the package: it must start at once, and outlive this process.
    command = [sys.executable, "-I", str(FILTER), json.dumps(hosts)]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)])
    os.dup2(write, 2)
    os.close(read)
    os.close(write)
