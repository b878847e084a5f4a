"""How near samples are to data, in a space of features `[N, D]`; and maps from images to features.

A map takes images `[N, ...]` in [0, 1] and gives `[N, D]`. Numbers can be compared only where the map and the numbers
of rows are the same.
"""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.npyio import NpzFile
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from jaxvae.errors import UserError
from jaxvae.metrics.representation import check_rows, same_width
from jaxvae.model import centre
from jaxvae.workdir import restore_run

FeatureMap = Callable[[np.ndarray], np.ndarray]
BATCH = 1024


def frechet_distance(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """The squared Fréchet distance of the Gaussians with the moments of a and b: `{"frechet_distance": ...}`.

    With features of a classifier it is the FID (arXiv:1706.08500, equation 6). It is biased upwards, the more the fewer
    the rows: for N rows each of the same standard normal by about 2D/N + D(D + 1)/2N.

    Args:
      a: `[N, D]`, N at least 2.
      b: `[M, D]`, M at least 2.

    Raises:
      UserError: too few rows, different dimensions, values that are not finite.
    """
    a, b = check_rows("features", a, 2), check_rows("features", b, 2)
    same_width("features", a, b)
    moments = [(x.mean(axis=0), np.cov(x, rowvar=False).reshape(x.shape[1], -1)) for x in (a, b)]
    return {"frechet_distance": frechet_of_moments(*moments[0], *moments[1])}


def frechet_of_moments(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|m_a - m_b|² + tr(C_a + C_b - 2 (C_a^½ C_b C_a^½)^½), of means `[D]` and covariances `[D, D]` of any rank.

    The trace is the least |C_a^½ - C_b^½ U|² over rotations U: a sum of squares, so that it is never negative, and
    nothing cancels where both are alike.
    """
    root_a, root_b = _root(cov_a), _root(cov_b)
    rotation, _ = orthogonal_procrustes(root_b, root_a)
    return float(np.sum((mean_a - mean_b) ** 2) + np.sum((root_b @ rotation - root_a) ** 2))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    noise = len(values) * np.finfo(np.float64).eps * values[-1]  # what rounding makes of zeros, of either sign
    return (vectors * np.sqrt(np.where(values > noise, values, 0.0))) @ vectors.T


def precision_recall_density_coverage(
    real: np.ndarray, fake: np.ndarray, k: int = 5, memory_mb: float = 128.0
) -> dict[str, float]:
    """Precision and recall (arXiv:1904.06991, equation 2), density and coverage (arXiv:2002.09797, section 3).

    Each row has a closed ball that reaches its kth neighbour within its set. Precision: the share of fakes in a ball
    of real ones; recall: of reals in a ball of fakes; density: how many balls of reals a fake is in, over k; coverage:
    the share of reals whose ball has a fake. Where both sets come from the same distribution, density is 1 in
    expectation, and coverage 1 - ∏ᵢ (N - i) / (N + M - i), i from 1 to k.

    Args:
      real: `[N, D]`, N above k.
      fake: `[M, D]`, M above k.
      k: which neighbour.
      memory_mb: bound on the distances held at a time; it changes no result.

    Returns:
      `{"precision", "recall", "density", "coverage"}`. It costs (N + M)² D operations: above some hundred dimensions,
      map to fewer first (`pca_features`).

    Raises:
      UserError: k below 1 or too few rows for it, different dimensions, values that are not finite.
    """
    if k < 1:
        raise UserError(f"k is {k}; a neighbour has a number from 1 on.")
    real, fake = check_rows("real features", real, k + 1), check_rows("fake features", fake, k + 1)
    same_width("features", real, fake)
    real_radius, fake_radius = _radii(real, k, memory_mb), _radii(fake, k, memory_mb)
    inside, recalled, covered = np.zeros(len(fake), np.int64), 0, 0
    for rows in _chunks(len(real), len(fake), memory_mb):
        distance = cdist(real[rows], fake)
        in_real = distance <= real_radius[rows, None]
        inside += in_real.sum(axis=0)
        covered += in_real.any(axis=1).sum()
        recalled += (distance <= fake_radius).any(axis=1).sum()
    scores = {
        "precision": np.mean(inside > 0),
        "recall": recalled / len(real),
        "density": inside.mean() / k,
        "coverage": covered / len(real),
    }
    return {name: float(value) for name, value in scores.items()}


def _radii(x: np.ndarray, k: int, memory_mb: float) -> np.ndarray:
    """The distance `[N]` of each row of `[N, D]` to its kth neighbour; the 0th is itself."""
    chunks = _chunks(len(x), len(x), memory_mb)
    return np.concatenate([np.partition(cdist(x[rows], x), k, axis=1)[:, k] for rows in chunks])


def _chunks(num: int, width: int, memory_mb: float) -> list[slice]:
    size = max(1, int(memory_mb * 1e6 / (2 * 8 * width)))  # two arrays of doubles at a time
    return [slice(i, i + size) for i in range(0, num, size)]


def pixel_features(x: np.ndarray) -> np.ndarray:
    """The values themselves: `[N, ...]` to float64 `[N, D]`."""
    x = np.asarray(x, np.float64)
    return x.reshape(len(x), -1)


def pca_features(fit_on: np.ndarray, dim: int) -> FeatureMap:
    """The map to the first `dim` principal components of the images `fit_on` `[N, ...]`, not scaled.

    Raises:
      UserError: more components than rows or values, values that are not finite; the map: images of another size.
    """
    fitted = check_rows("images", pixel_features(fit_on))
    if not 1 <= dim <= min(fitted.shape):
        raise UserError(
            f"{dim} principal components of {fitted.shape[0]} images with {fitted.shape[1]} values were asked for; it "
            f"must be from 1 to {min(fitted.shape)}."
        )
    pca = PCA(dim, random_state=0).fit(fitted)
    return lambda x: pca.transform(_pixels(x, fitted.shape[1]))


def npz_features(path: str | os.PathLike) -> FeatureMap:
    """A plain fully connected network read from an .npz: any classifier or embedding, written by any library.

    The file holds float arrays W0 `[D0, D1]`, b0 `[D1]`, W1 `[D1, D2]`, b1 `[D2]` ... and nothing else. The features
    are x W0 + b0, a ReLU, times W1 plus b1, and so on; no ReLU after the last. D0 is the number of values of an image.

    Raises:
      UserError: a file that cannot be read or does not fit; the map: images of another size.
    """
    layers = _layers(path)

    def apply(x: np.ndarray) -> np.ndarray:
        for weight, bias in layers[:-1]:
            x = np.maximum(x @ weight + bias, 0)
        return x @ layers[-1][0] + layers[-1][1]

    def features(x: np.ndarray) -> np.ndarray:
        x = _pixels(x, len(layers[0][0]))
        return np.concatenate([apply(x[i : i + BATCH]) for i in range(0, len(x), BATCH)])

    return features


def run_features(workdir: str | os.PathLike, checkpoint: str = "best") -> FeatureMap:
    """The codes of a trained run of this project: the centre of q(z|x), flattened to `[N, D]`.

    Args:
      workdir: its `--workdir`.
      checkpoint: "best" by validation loss, "last", or a step.

    Raises:
      UserError: there is no such run; the map: images of another shape.
    """
    run = restore_run(workdir, checkpoint)
    low, high = tuple(run.config["data"]["pixel_range"]) or run.spec.stored_range
    encode = jax.jit(lambda params, x: centre(run.model.encode(params, low + (high - low) * x)))

    def features(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, np.float32)
        if x.shape[1:] != run.model.data_shape or not len(x):
            raise UserError(
                f"Images of the shape {list(x.shape)} were given, but the run in '{workdir}' was trained on examples "
                f"of the shape {list(run.model.data_shape)}. Give at least one such image, or take another run."
            )
        codes = [np.asarray(encode(run.params, jnp.asarray(x[i : i + BATCH]))) for i in range(0, len(x), BATCH)]
        return np.concatenate(codes).reshape(len(x), -1)

    return features


def _pixels(x: np.ndarray, width: int) -> np.ndarray:
    flat = check_rows("images", pixel_features(x))
    if flat.shape[1] != width:
        raise UserError(
            f"Images of the shape {list(np.shape(x)[1:])} have {flat.shape[1]} values, but this map of features takes "
            f"{width}. Give images of the size that it was made for."
        )
    return flat


def _layers(path: str | os.PathLike) -> list[tuple[np.ndarray, np.ndarray]]:
    need = "what is needed is an .npz with W0, b0, W1, b1 ... and nothing else, as `npz_features` describes"
    try:
        # Opened here: NumPy leaves the file of a damaged archive open.
        with Path(path).expanduser().open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file} if isinstance(file, NpzFile) else {}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"The feature network '{path}' cannot be read ({error}); {need}.") from error
    depth = len(arrays) // 2
    if not depth or arrays.keys() != {f"{kind}{i}" for kind in "Wb" for i in range(depth)}:
        raise UserError(f"The feature network '{path}' holds {', '.join(arrays) or 'no named arrays'}; {need}.")
    layers = [(arrays[f"W{i}"], arrays[f"b{i}"]) for i in range(depth)]
    width = len(layers[0][0]) if layers[0][0].ndim else 0
    for i, (weight, bias) in enumerate(layers):
        if weight.ndim != 2 or 0 in weight.shape or len(weight) != width or bias.shape != weight.shape[1:]:
            raise UserError(
                f"In the feature network '{path}' W{i} has the shape {list(weight.shape)} and b{i} {list(bias.shape)}, "
                f"after {width} values; W must be [in, out] and b [out], each layer's in the last one's out."
            )
        if any(array.dtype.kind != "f" or not np.isfinite(array).all() for array in (weight, bias)):
            raise UserError(f"In the feature network '{path}' W{i} or b{i} holds something else than finite floats.")
        width = weight.shape[1]
    return [(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in layers]
