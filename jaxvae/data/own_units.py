"""From the model's units back to those of the data, for files, pictures and distances."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvae.data.preprocess import to_unit_range
from jaxvae.data.spec import FIXED, DataSpec


def viewed(config: Mapping[str, Any], spec: DataSpec, x: Any) -> np.ndarray:
    """Convert inputs or outputs of the model to the data's own units, the range it came in.

    Pixels become floats from 0 to the greatest possible value of the data, 255 of 8-bit images and 16 of the bundled
    digits, also where they were binarised; floats in [0, 1] stay there; counts are counts; all of these are clipped.
    Other real values are not clipped. Tokens and frames become whole numbers.
    """
    return in_own_units(config, spec, np.asarray(x, None if spec.sequence else np.float32))


def in_own_units(config: Mapping[str, Any], spec: DataSpec, x: Any) -> Any:
    """Do the arithmetic of `viewed`, of NumPy or traced arrays."""
    if spec.sequence:
        return x.round().astype(np.int32)
    if spec.is_real:
        own = spec.unscaled(x)
        if spec.dtype == "float32":
            return own
    else:
        low, high = spec.pixel_range(config)
        own = (x - np.float32(low)) * np.float32(spec.greatest / (high - low))
    return own.clip(0.0, spec.greatest if spec.has_bound(config["data"]) else np.inf)


def completed(
    config: Mapping[str, Any], spec: DataSpec, given: np.ndarray, observed: np.ndarray, imputed: np.ndarray
) -> np.ndarray:
    """Convert rows with imputed values as `viewed` does, `[..., N, *shape]`; observed values are as given."""
    return np.where(observed, np.asarray(given, np.float32), viewed(config, spec, imputed))


def unbinarized(config: Mapping[str, Any], spec: DataSpec, stored: np.ndarray) -> np.ndarray:
    """Return stored values in the range that the data came in; pixels that were binarised stay black and white."""
    return stored * np.float32(spec.greatest) if config["data"]["binarization"] in FIXED else stored


def shown(spec: DataSpec, x: np.ndarray) -> np.ndarray:
    """Convert `viewed` data to [0, 1], clipped, for pictures; sequences are unchanged."""
    if spec.sequence:
        return x
    if spec.is_real and spec.dtype == "float32":
        return to_unit_range(spec.scaled(x), spec.value_range)
    return to_unit_range(x, (0.0, spec.greatest))


def compared(config: Mapping[str, Any], spec: DataSpec, x: Any) -> np.ndarray:
    """Convert inputs or outputs of the model for distances: pixels to [0, 1], clipped; real values are unchanged."""
    if spec.sequence:
        return viewed(config, spec, x)
    x = np.asarray(x, np.float32)
    return x if spec.is_real else to_unit_range(x, spec.pixel_range(config))
