"""Images that stay in their source and are decoded whenever they are needed, by worker processes in training."""

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

AT_ONCE = 2048  # images decoded in one call: ten times faster than one by one
AHEAD = 2  # batches that each thread or worker process has ready


class Source(Protocol):
    """Anything with length and items, like a list; `__getitems__`, where it has that, gives many in one call."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class UnreadableItemsError(UserError):
    """A source raised something where it was asked for its items."""


def read_items(source: Source, indices: Sequence[int]) -> list:
    """The items of a source with these indices, in one call where it has `__getitems__`.

    Raises:
      UserError: whatever the source raised.
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
    """Images `[N, H, W, C]`, uint8, that are read anew each time they are asked for; indexed as an array is.

    Args:
      source: anything with length and items `{"image": [H, W, C]}`; it must pickle, to be read by worker processes.
      shape: `(H, W, C)`, after resizing.
      image_size: as in `load`.
      rows: which items of the source these are; all by default.
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
        """The size that an array of these would have."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def select(self, rows: np.ndarray) -> "Rows":
        """These rows, unread."""
        return Rows(self._source, self.shape[1:], self._image_size, self._rows[rows])

    def __getitem__(self, which: int | slice | np.ndarray) -> np.ndarray:
        """Reads.

        Raises:
          UserError: the source cannot be read, or an image is not of the shape that all had.
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
                        "when the data was looked through."
                    )
                images[start + i] = image
        return images.reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, in memory."""
        return self[:].astype(dtype or self.dtype, copy=False)


def make_items(batch: Callable[[int], Tree], workers: int) -> Callable[[int, int], Tree]:
    """`(step, num_steps) -> batches [num_steps, ...]`, made ahead of need in the order of the steps, by Grain.

    What a call returns depends on its arguments alone. The first one starts the workers, so does any that does not go
    on where the last one ended. Where there are `workers`, a script that calls this must do so under
    `if __name__ == "__main__"`: a worker imports it.

    Args:
      batch: the batch of a step, a tree of arrays; it must pickle.
      workers: processes; 0 reads in threads of this one.
    """
    iterator, following = None, -1

    def items(step: int, num_steps: int) -> Tree:
        nonlocal iterator, following
        goes_on, following = step == following, -1  # whatever goes wrong from here on: the next call starts anew
        batches = []
        if iterator is None or not goes_on:
            if iterator is not None:
                iterator.close()
            with _signals_held():
                iterator = _iterate(batch, step, workers)
                batches = [next(iterator)]
        batches += [next(iterator) for _ in range(num_steps - len(batches))]
        for error in batches:
            if isinstance(error, UserError):
                raise error
        following = step + num_steps
        return jax.tree.map(lambda *arrays: np.stack(arrays), *batches)

    return items


class _Batches:
    """Whole batches as a source: its item s is the batch of step s, so that Grain has no order to keep.

    An error is an item, too: Grain would add advice of its own to one that is raised.
    """

    def __init__(self, batch: Callable[[int], Tree]) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return 2**62  # steps: it is for the training to end

    def __getitem__(self, index: int) -> Tree | UserError:
        try:
            return self._batch(index)
        except UserError as error:
            return error


def _iterate(batch: Callable[[int], Tree], step: int, workers: int) -> Any:
    from absl import flags

    grain = require("grain")
    if workers and not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain looks at flags of its own there; their defaults will do
    threads = 1 if workers else os.cpu_count() or 1
    steps = grain.MapDataset.source(_Batches(batch)).slice(slice(step, None))
    ahead = steps.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=AHEAD * threads))
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=AHEAD)
    return iter(ahead.mp_prefetch(options, worker_init_fn=_prepare_worker))


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Processes started in here take no SIGINT and no SIGTERM: a run that is stopped saves its state and ends them."""
    resource_tracker.ensure_running()  # it would take them again for whoever starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_worker(worker: int, count: int) -> None:
    """Has it end with its parent, so that a killed run leaves none behind, and log errors alone, not advice."""
    from absl import logging

    del worker, count
    logging.set_verbosity(logging.ERROR)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
