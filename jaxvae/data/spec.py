"""Facts of the data that a model depends on."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxvae.data.preprocess import to_unit_range


class DataSpec(NamedTuple):
    """Facts of the data that a model depends on.

    Attributes:
      shape: of one example.
      levels: number of possible values of each entry; 256 for 8-bit pixels, and for floats.
      is_float: whether the data is stored as floats in [0, 1], and so is not counts.
      sequence: "text" (tokens `[T]`) or "music" (frames `[T, D]`) for sequences, padded with -1; else "".
      vocabulary: the words of the tokens.
      context_dim: length of the context of each example; 0 without context.
    """

    shape: tuple[int, ...]
    levels: int = 256
    is_float: bool = False
    sequence: str = ""
    vocabulary: tuple[str, ...] = ()
    context_dim: int = 0

    @property
    def stored_range(self) -> tuple[float, float]:
        """Least and greatest stored value."""
        return 0.0, 1.0 if self.is_float else float(self.levels - 1)

    def pixel_range(self, config: Mapping[str, Any]) -> tuple[float, float]:
        """Least and greatest value after preprocessing: `data.pixel_range`, or as stored where that is ()."""
        return tuple(config["data"]["pixel_range"]) or self.stored_range


def viewed(config: Mapping[str, Any], spec: DataSpec, x: Any) -> np.ndarray:
    """Convert inputs or outputs of the model for files: to [0, 1]; tokens and frames to whole numbers."""
    if spec.sequence:
        return np.asarray(x).round().astype(np.int32)
    return to_unit_range(np.asarray(x, np.float32), spec.pixel_range(config))
