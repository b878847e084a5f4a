"""Show the progress of an evaluation on the terminal, where it takes more than a moment."""

from collections.abc import Collection
from typing import TypeVar

import jax
from tqdm import tqdm

Item = TypeVar("Item")
MOMENT = 2.0  # seconds without a line


def progress(name: str, items: Collection[Item], unit: str) -> tqdm:
    """Return an iterator over `items` that shows their number and the time left on a terminal, and is erased."""
    disable = None if jax.process_index() == 0 else True  # None: where stderr is not a terminal
    return tqdm(items, desc=name, unit=unit, delay=MOMENT, leave=False, disable=disable, dynamic_ncols=True)
