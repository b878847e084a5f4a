"""Pad sequences of different lengths into one array."""

from collections.abc import Sequence

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.sequences import PADDING

MAX_BYTES = 2**35  # of one padded array


def pad(sequences: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Pad sequences `[T_i, ...]` of whole numbers with -1 to one array `[N, length, ...]` int32.

    Raises:
      UserError: the array would have more than 32 GiB.
    """
    shape = (len(sequences), length, *sequences[0].shape[1:])
    if 4 * np.prod(shape, dtype=np.float64) > MAX_BYTES:
        raise UserError(
            f"{len(sequences):,} sequences padded to the longest, {length:,} steps, would have {shape} numbers, more "
            f"than {MAX_BYTES // 2**30} GiB. Set a smaller greatest length."
        )
    padded = np.full(shape, PADDING, np.int32)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded
