"""Batches of sequences of similar length, so that little of a batch is padding."""

import numpy as np

from jaxvae.common.sequences import PADDING
from jaxvae.data.feed import Feed, check_fits
from jaxvae.data.split import Split

BUCKETS = 6  # the step is compiled for the shape of each


def lengths(x: np.ndarray) -> np.ndarray:
    """Lengths `[N]` without padding of sequences x `[N, T]` or `[N, T, D]`."""
    return np.sum(x.reshape(*x.shape[:2], -1)[..., 0] > PADDING, axis=1)


def bucket_edges(of_rows: np.ndarray, num_buckets: int = BUCKETS) -> np.ndarray:
    """Greatest length in each bucket, ascending; buckets hold about equally many sequences."""
    return np.unique(np.quantile(of_rows, np.arange(1, num_buckets + 1) / num_buckets, method="higher"))


def bucket_batches(of_rows: np.ndarray, edges: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Rows `[N // batch_size, batch_size]` of an epoch: a permutation, batched by bucket, with the batches shuffled.

    The remainders of all buckets are batched together, shortest first.
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(len(of_rows)).astype(np.int32)
    order = order[: len(order) // batch_size * batch_size]  # drops rows regardless of length
    bucket = np.searchsorted(edges, of_rows[order])
    batches, left = [], []
    for i in range(len(edges)):
        rows = order[bucket == i]
        whole = len(rows) // batch_size * batch_size
        batches.append(rows[:whole])
        left.append(rows[whole:])
    cut = np.concatenate([*batches, *left]).reshape(-1, batch_size)
    return cut[rng.permutation(len(cut))]


def make_bucket_feed(split: Split, batch_size: int, seed: int) -> Feed:
    """Feed sequences, gathered on the host and cut to the length of the longest bucket among the requested steps.

    Raises:
      UserError: the batch size is below 1 or larger than the data.
    """
    num = len(split.x)
    check_fits(batch_size, num)
    of_rows = lengths(split.x)
    edges, per_epoch = bucket_edges(of_rows), num // batch_size
    known: dict[int, np.ndarray] = {}

    def epoch_batches(epoch):
        if epoch not in known:
            known.clear()
            known[epoch] = bucket_batches(of_rows, edges, batch_size, seed, epoch)
        return known[epoch]

    def items(step, num_steps):
        rows = np.stack([epoch_batches(s // per_epoch)[s % per_epoch] for s in range(step, step + num_steps)])
        length = edges[np.searchsorted(edges, of_rows[rows].max())]
        arrays = {**split.arrays, "x": split.x[:, :length]}  # cut before gathering
        return {name: array[rows] for name, array in arrays.items()}

    return Feed({}, items, lambda _, item: item, per_epoch, num)
