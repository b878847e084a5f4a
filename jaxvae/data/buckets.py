"""Batches of sequences of similar length, so that little of a batch is padding."""

import numpy as np

from jaxvae.common.sequences import PADDING
from jaxvae.data.feed import Feed, check_fits, enough, labelled_rows
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


def mixed_bucket_batches(
    of_rows: np.ndarray, label: np.ndarray, edges: np.ndarray, labelled: int, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Rows `[M, batch_size]` of a pass over the rows without a label, the first `labelled` of each with one.

    The others are batched by bucket. Rows with a label are repeated in whole permutations. As many batches as
    one of them fills take its rows by length; over more of them, copies of a row would come into the same batch.
    """
    free = enough(np.flatnonzero(label < 0), batch_size - labelled)
    known = np.flatnonzero(label >= 0)
    batches = free[bucket_batches(of_rows[free], edges, batch_size - labelled, seed, epoch)]
    needed = len(batches) * labelled
    rng = np.random.Generator(np.random.PCG64([seed, epoch, 1]))
    drawn = np.concatenate([rng.permutation(known) for _ in range(-(-needed // len(known)))])[:needed]
    drawn = drawn.reshape(len(batches), labelled)
    longest, together = of_rows[batches].max(axis=1), max(len(known) // labelled, 1)
    beside = np.empty_like(drawn)
    for first in range(0, len(batches), together):
        span = slice(first, first + together)
        rows = drawn[span].ravel()
        shortest_first = first + np.argsort(longest[span], kind="stable")
        beside[shortest_first] = rows[np.argsort(of_rows[rows], kind="stable")].reshape(-1, labelled)
    return np.concatenate([beside, batches], axis=1).astype(np.int32)


def make_bucket_feed(split: Split, batch_size: int, seed: int, labelled_share: float = 0.0) -> Feed:
    """Feed sequences, gathered on the host and cut to the length of the longest bucket among the requested steps.

    With a `labelled_share` above 0 so many of the examples of each batch have a label, see `feed.labelled_rows`; an
    epoch is as many batches as without.

    Raises:
      UserError: the batch size is below 1 or larger than the data, or see `feed.labelled_rows`.
    """
    num = len(split.x)
    check_fits(batch_size, num)
    of_rows = lengths(split.x)
    edges, labelled = bucket_edges(of_rows), labelled_rows(split.label, labelled_share, batch_size)

    def batches_of(number):
        if labelled:
            return mixed_bucket_batches(of_rows, np.asarray(split.label), edges, labelled, batch_size, seed, number)
        return bucket_batches(of_rows, edges, batch_size, seed, number)

    known = {0: batches_of(0)}  # of the last pass that was asked for
    per_pass = len(known[0])

    def of_pass(number):
        if number not in known:
            known.clear()
            known[number] = batches_of(number)
        return known[number]

    def items(step, num_steps):
        rows = np.stack([of_pass(s // per_pass)[s % per_pass] for s in range(step, step + num_steps)])
        length = edges[np.searchsorted(edges, of_rows[rows].max())]
        arrays = {**split.arrays, "x": split.x[:, :length]}  # cut before gathering
        return {name: array[rows] for name, array in arrays.items()}

    return Feed({}, items, lambda _, item: item, num // batch_size, num)
