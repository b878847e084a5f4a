"""Reproducible sums from libraries with threads of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

from jaxvae.common.optional import require


@contextmanager
def one_thread(api: str | None = None) -> Iterator[None]:
    """Run scikit-learn in one thread: several threads sum in any order, and change the last bits of a result.

    Args:
      api: "openmp" or "blas"; both by default.
    """
    require("sklearn.utils")  # the limit holds only for libraries that are loaded already
    with require("threadpoolctl").threadpool_limits(1, api):
        yield
