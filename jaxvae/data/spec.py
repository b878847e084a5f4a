"""What a model must know of its data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxvae.data.preprocess import to_unit_range


class DataSpec(NamedTuple):
    """What a model must know of its data.

    Attributes:
      shape: of one example.
      levels: how many values each of its entries can have; 256 for 8-bit pixels, and for floats.
      is_float: whether it is stored as floats in [0, 1], and so is no counts.
      sequence: "text" (tokens `[T]`) or "music" (frames `[T, D]`) where it is made of sequences, padded with -1.
      vocabulary: the words that the tokens stand for.
      context_dim: the length of the context that comes with each example; 0 where none does.
    """

    shape: tuple[int, ...]
    levels: int = 256
    is_float: bool = False
    sequence: str = ""
    vocabulary: tuple[str, ...] = ()
    context_dim: int = 0

    @property
    def stored_range(self) -> tuple[float, float]:
        """The least and the greatest value that is stored."""
        return 0.0, 1.0 if self.is_float else float(self.levels - 1)

    def pixel_range(self, config: Mapping[str, Any]) -> tuple[float, float]:
        """The least and the greatest value that the model sees: `data.pixel_range`, or as stored where that is ()."""
        return tuple(config["data"]["pixel_range"]) or self.stored_range


def viewed(config: Mapping[str, Any], spec: DataSpec, x: Any) -> np.ndarray:
    """What the model sees or decodes as it is kept in files: in [0, 1]; tokens and frames as whole numbers."""
    if spec.sequence:
        return np.asarray(x).round().astype(np.int32)
    return np.asarray(to_unit_range(jnp.asarray(x), spec.pixel_range(config)))
