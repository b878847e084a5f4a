"""Data of the tests of the entry in Python."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (120, 4, 4), np.uint8)
