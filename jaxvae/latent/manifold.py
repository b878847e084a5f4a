"""Clusters of codes by the neighbourhoods that they form, rather than by their distances from a centre."""

import warnings
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread

MOST_MAPPED = 10_000  # codes on the map, a random choice: some 80 s on one core
LEAST_PERPLEXITY = 30  # neighbours of a code, in effect; of many codes a hundredth (Kobak & Berens 2019)
LEAST_CODES = 3  # different ones for each cluster
STARTS = 20  # fits of the mixture on the map, of which the likeliest is taken
VOTES = 15  # codes on the map that decide on one that is not


def manifold_clusters(codes: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Assign codes to clusters: a mixture of Gaussians on a map of the codes in two dimensions.

    Clusters of codes need be neither round nor equally wide. A map by t-SNE (van der Maaten & Hinton 2008) keeps
    who is whose neighbour and pulls groups apart, and a mixture with full covariances finds them there, as in
    McConville et al. 2019 (arXiv:1908.05968), whose best map is UMAP's. Codes that are not on the map have the cluster
    of most of their nearest codes there.

    Args:
      codes: `[N, D]`.
      num: the number C of clusters.
      seed: of the choice of codes, the map and the mixture.

    Returns:
      `[N]` int32, from 0 to C - 1.

    Raises:
      UserError: fewer than LEAST_CODES different codes for each cluster.
    """
    codes = np.asarray(codes, np.float32)
    if (different := len(np.unique(codes, axis=0))) < LEAST_CODES * num:
        raise UserError(
            f"{num} clusters of codes by their neighbours need {LEAST_CODES * num} different codes, and there are "
            f"{different} among {len(codes)} rows. Take fewer clusters, or check whether the latents collapsed."
        )
    chosen, rest = np.split(np.random.default_rng(seed).permutation(len(codes)), [MOST_MAPPED])
    perplexity = min(max(LEAST_PERPLEXITY, len(chosen) / 100), (len(chosen) - 1) / 3)
    tsne = require("sklearn.manifold").TSNE(2, perplexity=perplexity, random_state=seed)
    place = tsne.fit_transform if codes.shape[1] > 1 else lambda codes: codes  # a line is its own map
    mixture = require("sklearn.mixture").GaussianMixture(num, n_init=STARTS, random_state=seed)
    neighbours: Any = require("sklearn.neighbors").KNeighborsClassifier(VOTES)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)  # need not be the best
        clusters = np.empty(len(codes), np.int32)
        clusters[chosen] = mixture.fit_predict(place(codes[chosen]))
        if len(rest):
            clusters[rest] = neighbours.fit(codes[chosen], clusters[chosen]).predict(codes[rest])
    return clusters
