"""Copy stdin to stderr; replace the stack trace with which JAX reports a lost host by one paragraph.

A program for `jaxvae.runs.hosts`. Its argument is the list of host names by rank, in JSON.
"""

import json
import os
import re
import select
import signal
import sys
import time
from collections.abc import Sequence

# The line of the C++ log that begins a stack trace. It may follow a progress bar on the same line.
TROUBLE = re.compile(rb"[WEF]\d{4} [\d:.]+ +\d+ (coordination_service\w*|preemption_sync_manager|client)\.(cc|h):\d+\]")
FATAL = re.compile(rb"^F\d{4} .*JAX distributed service detected fatal errors", re.MULTILINE)
UNHEALTHY = re.compile(r"stopped sending heartbeats\):\n((?:.*\d\n)+)")
PATIENCE, MOMENT = 5.0, 0.5  # seconds: the end follows its first sign, and the last line follows the end


def paragraph(log: str, hosts: Sequence[str]) -> str:
    """Return the message for the user, from JAX's C++ log of a lost host."""
    found = UNHEALTHY.search(log)
    ranks = sorted({int(rank) for rank in re.findall(r"(\d+)$", found[1], re.MULTILINE)}) if found else []
    if not ranks and "coordination service" in log:
        ranks = [0]  # the coordinator: the others notice that their connection to it breaks
    lost = " and ".join(f"process {rank} (host {hosts[rank]})" for rank in ranks if rank < len(hosts))
    return (
        f"error: Lost {lost or 'another process'}, of {len(hosts)} in all. A process is lost when it is killed, or "
        "when its host or network fails. The run needs all its processes, so this one ends too. The checkpoints are "
        "kept: give the same command on all hosts again, and the run resumes from the newest checkpoint."
    )


def main(hosts: Sequence[str]) -> None:
    """Copy stdin to stderr until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the process that writes decides when to end

    held, deadline = b"", 0.0
    while (chunk := read(deadline if held else None)) != b"":
        if chunk is None and is_end(held):
            break
        if chunk is None:  # it was a warning
            show(held)
            held = b""
        elif held:
            held += chunk
        else:
            start = found.start() if (found := TROUBLE.search(chunk)) else len(chunk)
            show(chunk[:start])
            held, deadline = chunk[start:], time.monotonic() + PATIENCE
        if is_end(held):
            deadline = min(deadline, time.monotonic() + MOMENT)
    if not is_end(held):
        show(held)
        return
    show(f"\n{paragraph(held.decode(errors='replace'), hosts)}\n".encode())
    while read(None):  # the stack trace
        pass


def is_end(log: bytes) -> bool:
    """Return whether the log says that JAX ends this process because others were lost."""
    return FATAL.search(log) is not None


def read(deadline: float | None) -> bytes | None:
    """Return the next bytes of stdin, empty at its end; None when the deadline passes first."""
    wait = None if deadline is None else max(deadline - time.monotonic(), 0.0)
    return os.read(0, 2**16) if select.select([0], [], [], wait)[0] else None


def show(text: bytes) -> None:
    """Write all of `text` to stderr."""
    while text:
        text = text[os.write(2, text) :]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
