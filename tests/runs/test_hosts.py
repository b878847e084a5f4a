"""One of two hosts is lost: the other names it in one paragraph, and its checkpoints are kept."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxvae.runs.hosts import FILTER
from jaxvae.runs.stderr_filter import paragraph

ROOT = Path(__file__).parents[2]
HOSTS = ["north", "south", "west"]
BAR = "vae:  40%|####  | 4/10 [00:01<00:02,  2.30step/s, loss=28.73]"
TIME = "1125 23:47:05.260780   22114"
UNHEALTHY = f"""E{TIME} coordination_service.cc:1549] [135] Use error polling to propagate the following error: \
UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):
1
/job:jax_worker/replica:0/task:2
The tasks have crashed. Check the task logs for an earlier error, or scheduler events to debug further.
E{TIME} coordination_service_agent.cc:289] Polled an error from coordination service.
F{TIME} client.h:80] Terminating process because the JAX distributed service detected fatal errors. This most \
likely indicates that another task died. UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):
1
/job:jax_worker/replica:0/task:2
The tasks have crashed. Check the task logs for an earlier error.
"""
NO_COORDINATOR = f"""W{TIME} preemption_sync_manager.cc:147] Failed to retrieve preemption notice.
F{TIME} client.h:80] Terminating process because the JAX distributed service detected fatal errors. absl::Status: \
UNAVAILABLE: Failed to send RPC to coordination service. Either the leader task was preempted.
"""
TRACE = "*** Check failure stack trace: ***\n    @     0x7fc4bb640634  absl::log_internal::LogMessage::SendToLog()\n"


def filtered(text, hosts=HOSTS):
    command = [sys.executable, "-I", str(FILTER), json.dumps(hosts)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True).stderr


def test_the_lost_hosts_are_named_instead_of_a_trace_of_cpp():
    assert "Lost process 1 (host south) and process 2 (host west), of 3 in all." in paragraph(UNHEALTHY, HOSTS)
    assert "Lost process 0 (host north), of 3 in all." in paragraph(NO_COORDINATOR, HOSTS)
    for log in (UNHEALTHY, NO_COORDINATOR):
        assert filtered(f"a note\n{BAR}{log}{TRACE}") == f"a note\n{BAR}\n{paragraph(log, HOSTS)}\n"
        assert filtered(f"{BAR}{log}") == f"{BAR}\n{paragraph(log, HOSTS)}\n"  # cut before its trace


def test_everything_else_on_stderr_is_passed_on():
    warning = f"W{TIME} client.cc:80] a warning\n"
    for text in (
        "",
        BAR,
        "é no UTF-8: \udcff",
        f"{BAR}\n{warning}{BAR}\n",
        f"F{TIME} other.cc:3] Check failed\n{TRACE}",
    ):
        command = [sys.executable, "-I", str(FILTER), "[]"]
        content = text.encode(errors="surrogateescape")
        assert subprocess.run(command, input=content, capture_output=True, timeout=60).stderr == content


def start_two(workdir, epochs):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "launch.py", "--config=configs/vae_2d.py", f"--config.train.num_epochs={epochs}",
        "--config.train.eval_every_epochs=2", "--config.evaluate.nll_samples=2", f"--workdir={workdir}",
        f"--coordinator=localhost:{port}", "--num_processes=2", "--host_timeout=10",
    ]  # fmt: skip
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    return [
        subprocess.Popen([*command, f"--process_id={rank}"], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_the_host_that_is_left_names_the_lost_one(killed, tmp_path):
    log = tmp_path / "metrics.jsonl"
    processes = start_two(tmp_path, epochs=100_000)
    while not log.exists() or log.read_text().count("validation") < 2:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    processes[killed].send_signal(signal.SIGKILL)
    _, errors = processes[1 - killed].communicate(timeout=60)
    processes[killed].communicate()
    assert processes[1 - killed].returncode == -signal.SIGABRT, errors
    message = errors.rstrip("\n").splitlines()[-1]
    assert message.startswith(f"error: Lost process {killed} (host {socket.gethostname()}), of 2 in all."), errors
    assert "resumes from the newest checkpoint" in message
    assert "LogMessage" not in errors
    assert not re.search(r"^[EF]\d{4} ", errors, re.MULTILINE)
    assert [p for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()]
