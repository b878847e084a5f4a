"""Streaming: images stay in their source and are decoded whenever needed, in training by worker processes."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any, Protocol

import jax
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.types import Tree
from jaxvae.data.resize import as_image

AT_ONCE = 2048  # images decoded in one call, ten times faster than one by one
AHEAD = 2  # batches that each thread or worker process prefetches


class Source(Protocol):
    """Anything with length and items, like a list; an optional `__getitems__` returns many in one call."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class UnreadableItemsError(UserError):
    """A source raised an error while reading its items."""


def read_items(source: Source, indices: Sequence[int]) -> list:
    """Read items of a source by their indices, in one call where it has `__getitems__`.

    Raises:
      UserError: the source raised an error.
    """
    many = getattr(source, "__getitems__", None)
    try:
        return list(many(list(indices))) if many else [source[i] for i in indices]
    except UserError:
        raise
    except Exception as error:
        which = f"items {indices[0]} to {indices[-1]}" if len(indices) > 1 else f"item {indices[0]}"
        raise UnreadableItemsError(f"{which} cannot be read: {error}.") from error


class Rows:
    """Images `[N, H, W, C]`, uint8, that are read from their source at each access; indexed like an array.

    Args:
      source: anything with length and items `{"image": [H, W, C]}`; it must pickle, to be read by worker processes.
      shape: `(H, W, C)`, after resizing.
      image_size: as in `load`.
      rows: indices of items in the source; all by default.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, source: Source, shape: Sequence[int], image_size: int = 0, rows: np.ndarray | None = None
    ) -> None:
        self._source, self._image_size = source, image_size
        self._rows = np.arange(len(source)) if rows is None else rows
        self.shape = (len(self._rows), *shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of an array of these images."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def select(self, rows: np.ndarray) -> "Rows":
        """Select rows without reading them."""
        return Rows(self._source, self.shape[1:], self._image_size, self._rows[rows])

    def __getitem__(self, which: int | slice | np.ndarray) -> np.ndarray:
        """Read the images of these rows.

        Raises:
          UserError: the source cannot be read, or the shape of an image has changed.
        """
        rows = self._rows[which]
        images = np.empty((rows.size, *self.shape[1:]), self.dtype)
        for start in range(0, rows.size, AT_ONCE):
            some = rows.ravel()[start : start + AT_ONCE].tolist()
            for i, item in enumerate(read_items(self._source, some)):
                image = as_image(item["image"], self._image_size)
                if (image.shape, image.dtype) != (self.shape[1:], self.dtype):
                    raise UnreadableItemsError(
                        f"item {some[i]} is an image of {image.dtype} {image.shape}, but was of uint8 {self.shape[1:]} "
                        "when the data was first scanned."
                    )
                images[start + i] = image
        return images.reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all images into memory."""
        return self[:].astype(dtype or self.dtype, copy=False)


def make_items(batch: Callable[[int], Tree], workers: int) -> Callable[[int, int], Tree]:
    """Make `(step, num_steps) -> batches [num_steps, ...]`, prefetched in the order of the steps by Grain.

    The result of a call depends on its arguments alone. The first call starts the workers, as does any call that does
    not continue at the end of the last one. With `workers`, a script must call this under `if __name__ == "__main__"`:
    workers import the script.

    Args:
      batch: the batch of a step, a tree of arrays; it must pickle.
      workers: processes; 0 reads in threads of this one.
    """
    iterator, following = None, -1

    def close() -> None:
        nonlocal iterator
        if iterator is not None:
            iterator.close()
        iterator = None

    def items(step: int, num_steps: int) -> Tree:
        nonlocal iterator, following
        if step != following:
            close()
        try:
            batches = []
            if iterator is None:
                with _signals_held():
                    iterator = _iterate(batch, step, workers)
                    batches = [next(iterator)]
            batches += [next(iterator) for _ in range(num_steps - len(batches))]
            for error in batches:
                if isinstance(error, UserError):
                    raise error
        except BaseException:
            close()  # at once: a garbage collection within a thread of Grain could not join that thread
            raise
        following = step + num_steps
        return jax.tree.map(lambda *arrays: np.stack(arrays), *batches)

    return items


class _Batches:
    """Source whose item s is the batch of step s, so that Grain need not order or batch examples.

    Errors are returned as items: Grain would add advice of its own to raised ones.
    """

    def __init__(self, batch: Callable[[int], Tree]) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return 2**62  # steps: the training loop ends, not the source

    def __getitem__(self, index: int) -> Tree | UserError:
        try:
            return self._batch(index)
        except UserError as error:
            return error


def _iterate(batch: Callable[[int], Tree], step: int, workers: int) -> Any:
    from absl import flags

    grain = require("grain")
    if workers and not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain reads its own flags there; the defaults suffice
    threads = 1 if workers else os.cpu_count() or 1
    steps = grain.MapDataset.source(_Batches(batch)).slice(slice(step, None))
    ahead = steps.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=AHEAD * threads))
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=AHEAD)
    return iter(ahead.mp_prefetch(options, worker_init_fn=_prepare_worker))


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Block SIGINT and SIGTERM in processes started in here: a stopped run saves its state, then ends them itself."""
    resource_tracker.ensure_running()  # else it would unblock them for whoever starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_worker(worker: int, count: int) -> None:
    """End the worker with its parent, so that a killed run leaves no process behind, and log only errors, no advice."""
    from absl import logging

    del worker, count
    logging.set_verbosity(logging.ERROR)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
