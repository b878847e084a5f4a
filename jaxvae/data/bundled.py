"""Arrays that need no files: images and a table of scikit-learn, images and counts drawn from known factors."""

from collections.abc import Callable
from functools import partial

import numpy as np

from jaxvae.common.optional import require
from jaxvae.data import bundled_tables, cells, files, shapes, tables
from jaxvae.data.split import Found, Split


def _digits() -> Found:
    bunch = require("sklearn.datasets").load_digits()
    return Found({"train": Split(bunch.images[..., None].astype(np.uint8), bunch.target.astype(np.int32))})


def _drawn(grid: shapes.Grid) -> Found:
    split, factor_names = shapes.make_shapes(grid)
    return Found({"train": split}, factor_names, shapes.NAMES)


def _cells() -> Found:
    split, factor_names = cells.make_cells()
    return Found({"train": split}, factor_names, cells.NAMES)


def _table(name: str) -> Found:
    """Columns of numbers as the features `[N, F]`, and the classes as labels."""
    return files.finished(tables.from_table(bundled_tables.load(name), name), name, 0)


BUNDLED: dict[str, Callable[[], Found]] = {
    "digits": _digits,
    "shapes": partial(_drawn, shapes.SHAPES),
    "color_shapes": partial(_drawn, shapes.COLOR_SHAPES),
    "cells": _cells,
    "breast_cancer": partial(_table, "breast_cancer"),
}
