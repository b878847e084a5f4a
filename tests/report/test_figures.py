"""Limits of the curves' axes, and the size of sheets of pictures."""

import numpy as np
import pytest
from PIL import Image

from jaxvae.report import figures


def rows_of(train, validation):
    return [
        {"epoch": float(epoch), "split": split, "loss": value}
        for split, values in (("train", train), ("validation", validation))
        for epoch, value in enumerate(values, start=1)
    ]


def test_the_first_steps_are_cut_off_and_a_rise_of_validation_is_not():
    train = np.concatenate([[900.0], np.linspace(100, 10, 99)])
    validation = np.concatenate([np.linspace(95, 30, 50), np.linspace(30, 200, 50)])  # overfits
    low, high = figures.curve_limits(rows_of(train, validation), "loss")
    assert low < 10
    assert 200 < high < 300


def test_without_a_rise_the_limits_leave_out_the_highest_fiftieth():
    train = np.concatenate([[900.0, 500.0], np.linspace(100, 10, 98)])
    low, high = figures.curve_limits(rows_of(train, train[2:]), "loss")
    assert low < 10
    assert 100 < high < 120


def test_few_values_are_all_drawn():
    assert figures.curve_limits(rows_of([3.0, 2.0], [4.0]), "loss") is None


@pytest.mark.parametrize(("shape", "size"), [((1612, 37, 3), (720, 7248)), ((50, 100, 3), (1080, 588))])
def test_a_sheet_is_as_wide_as_it_should_be_and_not_too_tall(shape, size, tmp_path):
    figures.save_sheet(tmp_path / "sheet.png", np.zeros(shape, np.uint8), "title")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == size
