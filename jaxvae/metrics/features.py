"""Feature maps: from images `[N, ...]` in [0, 1] to features `[N, D]`."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.metrics.arrays import check_rows

FeatureMap = Callable[[np.ndarray], np.ndarray]
BATCH = 1024


def pixel_features(x: np.ndarray) -> np.ndarray:
    """Flatten `[N, ...]` to float64 `[N, D]`."""
    x = np.asarray(x, np.float64)
    return x.reshape(len(x), -1)


def pca_features(fit_on: np.ndarray, dim: int) -> FeatureMap:
    """Fit a map to the first `dim` principal components of the images `fit_on` `[N, ...]`, without scaling.

    Raises:
      UserError: more components than rows or values, or non-finite values; by the map: images of another size.
    """
    fitted = check_rows("images", pixel_features(fit_on))
    if not 1 <= dim <= min(fitted.shape):
        raise UserError(
            f"PCA got {dim} components for {fitted.shape[0]} images of {fitted.shape[1]} values; the number of "
            f"components must be from 1 to {min(fitted.shape)}."
        )
    with np.errstate(invalid="ignore"):  # the shares of variance, unused, are 0 / 0 where all images are the same
        pca = require("sklearn.decomposition").PCA(dim, random_state=0).fit(fitted)
    return lambda x: pca.transform(_pixels(x, fitted.shape[1]))


def npz_features(path: str | os.PathLike) -> FeatureMap:
    """Load a fully connected network from an .npz: any classifier or embedding, written by any library.

    The file holds float arrays W0 `[D0, D1]`, b0 `[D1]`, W1 `[D1, D2]`, b1 `[D2]` ... and nothing else. The features
    are relu(x W0 + b0) W1 + b1, and so on, without a ReLU after the last layer. D0 is the number of values of an image.

    Raises:
      UserError: a file that cannot be read or does not fit; by the map: images of another size.
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


def _pixels(x: np.ndarray, width: int) -> np.ndarray:
    flat = check_rows("images", pixel_features(x))
    if flat.shape[1] != width:
        raise UserError(
            f"Images of the shape {list(np.shape(x)[1:])} have {flat.shape[1]} values, but this feature map takes "
            f"{width}. Give images of the size that it was made for."
        )
    return flat


def _layers(path: str | os.PathLike) -> list[tuple[np.ndarray, np.ndarray]]:
    need = "it must be an .npz with W0, b0, W1, b1 ... and nothing else, as `npz_features` describes"
    try:
        # Opened here, because NumPy leaves a damaged archive open.
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
                f"for {width} inputs; W must be [in, out] and b [out], where `in` is the previous layer's `out`."
            )
        if any(array.dtype.kind != "f" or not np.isfinite(array).all() for array in (weight, bias)):
            raise UserError(f"In the feature network '{path}' W{i} or b{i} holds values that are not finite floats.")
        width = weight.shape[1]
    return [(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in layers]
