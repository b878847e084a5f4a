"""Counts of genes in cells, drawn by code: types of cells, library sizes, and batches that measure them differently."""

import numpy as np

from jaxvae.data.split import Split

CELLS, GENES, TYPES, BATCHES = 3000, 60, 4, 3
TYPE_EFFECT, BATCH_EFFECT = 0.8, 0.4  # deviations of the log expression of a gene, between types and between batches
DEPTH, DEPTH_SPREAD = 400.0, 0.5  # median library size, and the deviation of its logarithm
CONCENTRATION = 5.0  # r of the negative binomial: variance m + m^2 / r
NAMES = ("alpha", "beta", "delta", "gamma")  # of the types


def make_cells(seed: int = 0) -> tuple[Split, tuple[str, ...]]:
    """Draw counts `[3000, 60]` int32, with the types of the cells as labels and the batch as a factor.

    A gene's mean is the library size of the cell times its share in the type, changed by a factor of its own in each
    batch; types and batches are independent. The effects are large enough to read both from the counts.
    """
    rng = np.random.default_rng(seed)
    kind, batch = rng.integers(TYPES, size=CELLS), rng.integers(BATCHES, size=CELLS)
    base, of_type, of_batch = (scale * rng.normal(size=(num, GENES)) for scale, num in
                               ((1.0, 1), (TYPE_EFFECT, TYPES), (BATCH_EFFECT, BATCHES)))  # fmt: skip
    log_share = base + of_type[kind] + of_batch[batch]
    share = np.exp(log_share) / np.exp(log_share).sum(axis=1, keepdims=True)
    mean = DEPTH * np.exp(DEPTH_SPREAD * rng.normal(size=(CELLS, 1))) * share
    counts = rng.poisson(mean * rng.gamma(CONCENTRATION, 1 / CONCENTRATION, mean.shape))
    return Split(counts.astype(np.int32), kind.astype(np.int32), batch[:, None].astype(np.int32)), ("batch",)
