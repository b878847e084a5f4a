"""Quadrants of an image, which can be the context of a model of the others."""

from collections.abc import Sequence

import numpy as np

# Rows and columns of an image, in halves.
QUADRANTS = {"top_left": (0, 0), "top_right": (0, 1), "bottom_left": (1, 0), "bottom_right": (1, 1)}


def region(name: str, size: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns of a quadrant."""
    lower, right = QUADRANTS[name]
    rows, columns = (side // 2 for side in size)
    return (slice(rows, None) if lower else slice(rows)), (slice(columns, None) if right else slice(columns))


def modelled(names: Sequence[str], shape: Sequence[int]) -> np.ndarray | None:
    """Return which values of an example are modelled, bool of its shape; None for all.

    Pixels of a context, some of whose `names` are those of quadrants, are not.
    """
    seen = [name for name in names if name in QUADRANTS]
    if not seen or len(shape) != 3:
        return None
    mask = np.ones(tuple(shape), bool)
    for name in seen:
        mask[region(name, shape[:2])] = False
    return mask


def pixels(x: np.ndarray, name: str, max_value: float) -> np.ndarray:
    """Cut a quadrant out of stored images `[N, H, W, ...]`: `[N, pixels]` in [0, 1]."""
    return np.asarray(x[:, *region(name, x.shape[1:3])], np.float32).reshape(len(x), -1) / np.float32(max_value)
