"""Eight virtual CPU devices and the strict switches of JAX, set before its first use; the statistics of the tests."""

import ctypes
import gc
import os
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiled steps stay out of the user's cache, those of subprocesses too, and are there for the next run of the tests.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache/d/compiled"))
# Tests run in a process for each core: threads of NumPy and scikit-learn would only wait for each other.
os.environ |= {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
# Most of the time goes into compiling programs that hardly run: without optimisations that takes less than half.
QUICK = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") != "0"
flags = ["--xla_force_host_platform_device_count=8"]
if version("jaxlib").startswith("0.10."):  # quicker to compile; later versions have no such choice
    flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")]).strip()  # the user's come last and win

from jaxvae.common.platform import avoid_wrong_sums

avoid_wrong_sums()

import jax
import numpy as np
import pytest
from stream_tools import image_folder, memory_and_streamed

import launch

jax.config.update("jax_enable_x64", False)
jax.config.update("jax_debug_key_reuse", True)  # a key used twice is an error; a test that wants so makes the key anew


@pytest.fixture(scope="session", autouse=True)
def rough_maps():
    """Let t-SNE stop after its least number of iterations: pages are tested for what they hold, not for beauty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxvae.report.maps.ITERATIONS", 250)
        yield


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_dropped():
    """Drop what a module compiled, and return the memory: otherwise a worker grows to several GB."""
    yield
    jax.clear_caches()
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc keeps freed memory to itself
        trim(0)


def pytest_runtest_setup(item):
    """Compile quickly, here and in subprocesses, but for tests that compute for long."""
    quick = QUICK and "optimised" not in item.keywords
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(quick))
    jax.config.update("jax_disable_most_optimizations", quick)


@pytest.fixture
def strict_ranks():
    """Implicit rank promotion is an error. For our own arithmetic only: NumPyro's distributions promote."""
    with jax.numpy_rank_promotion("raise"):
        yield


def _assert_mean(samples, expected, sigmas: float = 4.0) -> None:
    samples = np.asarray(samples, np.float64)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(error > 0), "constant samples: compare them exactly"
    away = (samples.mean(axis=0) - np.asarray(expected, np.float64)) / error
    assert np.all(np.abs(away) < sigmas), f"{away} standard errors of {error} from the expected {expected}"


@pytest.fixture
def assert_mean():
    """`(samples [N, ...], expected, sigmas=4)`: the mean over N is the expected one, within standard errors."""
    return _assert_mean


@pytest.fixture
def random_like():
    """`(function, *args)`: random numbers in the place of the pytree that it returns, without compiling it."""
    rng = np.random.default_rng(0)

    def fill(function, *args):
        shapes = jax.eval_shape(function, *args)
        return jax.tree.map(lambda leaf: (0.5 * rng.normal(size=leaf.shape)).astype(leaf.dtype), shapes)

    return fill


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def images(tmp_path):
    """The folder of images of `stream_tools`."""
    return image_folder(tmp_path / "images")


@pytest.fixture
def both(images):
    """`(**options) -> (in memory, streamed)` of that folder."""
    return memory_and_streamed(images)


@pytest.fixture
def refused(capsys, workdir):
    """`(*argv) -> message` of a launch that must fail politely."""

    def refused(*argv):
        if not any(arg.startswith("--workdir") for arg in argv):
            argv = (*argv, f"--workdir={workdir}")
        capsys.readouterr()  # a fixture may have trained
        assert launch.main(["launch.py", *argv], time.time()) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert captured.out == ""
        assert len(captured.err) < 2000
        return captured.err

    return refused
