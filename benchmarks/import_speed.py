"""Time of `import jaxvae` and of the first use of `jaxvae.fit`, beside that of the packages that they build on.

python benchmarks/import_speed.py            # a minute on 2 cores

Each line starts a process of its own; medians of REPEATS, in turn. CPU seconds hardly depend on what else runs.
"""

import os
import statistics
import sys
import time

REPEATS = 7
LINES = {
    "jax, flax, optax, numpyro": "import jax, flax, optax, numpyro",
    "jaxvae": "import jaxvae",
    "jaxvae.fit": "import jaxvae; jaxvae.fit",
}


def seconds(line: str) -> tuple[float, float]:
    """Run one line in a new process; return its CPU and its wall time."""
    start = time.perf_counter()
    process = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", line])
    used = os.wait4(process, 0)[2]
    return used.ru_utime + used.ru_stime, time.perf_counter() - start


def main() -> None:
    """Print a line for each import."""
    found = {name: [] for name in LINES}
    for _ in range(REPEATS):
        for name, line in LINES.items():
            found[name].append(seconds(line))
    for name, times in found.items():
        cpu, wall = map(statistics.median, zip(*times, strict=True))
        print(f"{name:<28}{cpu:6.2f} s CPU {wall:6.2f} s wall")


if __name__ == "__main__":
    main()
