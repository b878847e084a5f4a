"""Feeds of batches: a batch is a function of the step, so that a resumed run gets the same batches."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Tree
from jaxvae.data.split import Split
from jaxvae.data.stream import Rows, make_items

RESIDENT_BYTES = 2**31  # data up to this size lives on every device


class Feed(NamedTuple):
    """Batches in two parts, one on the host and one inside the compiled step.

    Attributes:
      resident: arrays placed on the devices once; `{}` where the data stays on the host.
      items: `(step, num_steps) -> tree [num_steps, batch, ...]` of host arrays: row indices, or the data itself.
      fetch: `(resident, item) -> batch`, pure, called inside the compiled step.
      steps_per_epoch: whole batches in one pass over the data; the rest of a permutation is dropped.
      num_examples: size of the data.
    """

    resident: Tree
    items: Callable[[int, int], Tree]
    fetch: Callable[[Tree, Tree], dict]
    steps_per_epoch: int
    num_examples: int


def batch_indices(seed: int | list[int], num_examples: int, batch_size: int, step: int, num_steps: int) -> np.ndarray:
    """Row indices `[num_steps, batch_size]` of the steps from `step` on; each epoch has its own permutation."""
    per_epoch = num_examples // batch_size
    seeds = seed if isinstance(seed, list) else [seed]
    rows, epoch, order = [], -1, np.empty(0, np.int32)
    for s in range(step, step + num_steps):
        if epoch != s // per_epoch:
            epoch = s // per_epoch
            order = np.random.Generator(np.random.PCG64([*seeds, epoch])).permutation(num_examples).astype(np.int32)
        first = s % per_epoch * batch_size
        rows.append(order[first : first + batch_size])
    return np.stack(rows)


def check_fits(batch_size: int, num: int) -> None:
    """Raise UserError unless the batch size is from 1 to `num`, the number of training examples."""
    if not 1 <= batch_size <= num:
        raise UserError(f"train.batch_size is {batch_size}, but there are {num} training examples; take 1 to {num}.")


def enough(rows: np.ndarray, size: int) -> np.ndarray:
    """Repeat rows until there are `size`: a batch may hold more than there are."""
    return np.tile(rows, -(-size // len(rows)))


def mixed_indices(label: np.ndarray, labelled: int, seed: int, batch_size: int) -> Callable[[int, int], np.ndarray]:
    """Return `(step, num_steps) -> [num_steps, batch_size]` row indices, the first `labelled` of rows with a label.

    Rows with and rows without a label each go round in permutations of their own.
    """
    pools = []
    for i, (rows, size) in enumerate(
        ((np.flatnonzero(label >= 0), labelled), (np.flatnonzero(label < 0), batch_size - labelled))
    ):
        pools.append((enough(rows, size).astype(np.int32), [seed, i + 1], size))

    def indices(step: int, num_steps: int) -> np.ndarray:
        parts = [rows[batch_indices(key, len(rows), size, step, num_steps)] for rows, key, size in pools]
        return np.concatenate(parts, axis=1)

    return indices


def labelled_of(share: float, batch_size: int) -> int:
    """Return how many of the examples of a batch a `share` of it is."""
    return round(share * batch_size)


def labelled_rows(label: np.ndarray | None, share: float, batch_size: int) -> int:
    """Return how many examples of a batch have a label where a `share` of each must have one; 0: as they come.

    Raises:
      UserError: all or none of the examples have a label, or a batch would have no place for one kind.
    """
    if not share:
        return 0
    known = 0 if label is None else int((label >= 0).sum())
    if label is None or known in (0, len(label)):
        raise UserError(
            f"train.labelled_share is {share}, but {'all' if known else 'none'} of the training examples have a label: "
            "it is for data with few of them (data.labels). Leave it at 0."
        )
    count = labelled_of(share, batch_size)
    if not 0 < count < batch_size:
        raise UserError(
            f"train.labelled_share is {share}, so that {count} of the {batch_size} examples of a batch would have a "
            "label: take a share that leaves room for both kinds, or a larger train.batch_size."
        )
    return count


def make_feed(
    split: Split,
    batch_size: int,
    seed: int,
    resident_bytes: int = RESIDENT_BYTES,
    workers: int = 0,
    labelled_share: float = 0.0,
) -> Feed:
    """Make a feed: small data is gathered on the device by row index, large data on the host from its memory map.

    Streamed images (`Rows`) are prefetched by `workers` processes, or by threads of this process where `workers` is 0.
    The batches are the same in all cases. With a `labelled_share` above 0 so many of the examples of each batch have a
    label, see `labelled_rows`; an epoch is as many batches as without.

    Raises:
      UserError: the batch size is below 1 or larger than the data, `workers` is below 0, or see `labelled_rows`.
    """
    if workers < 0:
        raise UserError(f"data.workers is {workers}; it must be 0 (none) or a number of processes.")
    num = len(split.x)
    check_fits(batch_size, num)
    arrays = split.arrays
    labelled = labelled_rows(split.label, labelled_share, batch_size)
    mixed = mixed_indices(np.asarray(split.label), labelled, seed, batch_size) if labelled else None

    def rows(step, num_steps):
        return mixed(step, num_steps) if mixed else batch_indices(seed, num, batch_size, step, num_steps)

    def gather(source, indices):
        return {name: array[indices] for name, array in source.items()}

    if isinstance(split.x, Rows):
        items = make_items(lambda step: gather(arrays, rows(step, 1)[0]), workers)
        return Feed({}, items, lambda _, item: item, num // batch_size, num)
    if split.x.nbytes <= resident_bytes:
        shapes = {name: array.shape[1:] for name, array in arrays.items()}
        # XLA on CPU gathers rows faster than images.
        flat = {name: array.reshape(num, -1) if array.ndim > 2 else array for name, array in arrays.items()}

        def fetch(resident, indices):
            return {name: array.reshape(-1, *shapes[name]) for name, array in gather(resident, indices).items()}

        return Feed(flat, rows, fetch, num // batch_size, num)
    return Feed({}, lambda *span: gather(arrays, rows(*span)), lambda _, item: item, num // batch_size, num)
