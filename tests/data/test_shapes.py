"""Images with known generative factors: what is drawn, and how factors go with the images through splits and files."""

import re

import jax
import numpy as np
import pytest

from jaxvae import UserError, data
from jaxvae.data import shapes
from jaxvae.data.shapes import COLOR_SHAPES, SHAPES, make_shapes, render

GRIDS = pytest.mark.parametrize(
    ("name", "grid"), [("shapes", SHAPES), pytest.param("color_shapes", COLOR_SHAPES, marks=pytest.mark.slow)]
)


@pytest.fixture(scope="module")
def drawn():
    """`name -> (images [*sizes, 32, 32, C], sizes)`."""
    return {
        name: make_shapes(grid)[0].x.reshape(*grid.sizes.values(), 32, 32, -1)
        for name, grid in (("shapes", SHAPES), ("color_shapes", COLOR_SHAPES))
    }


def coverage(images):
    """Pixels `[..., 32, 32]` in [0, 1], whatever the colour."""
    return images.max(-1) / np.float32(255)


def centroid(images):
    """`[..., 2]`: x to the right and y downwards, in pixels from the middle of the image."""
    mass, middle = coverage(images), np.arange(32) - 15.5
    total = mass.sum((-2, -1))
    return np.stack([(mass.sum(-2) * middle).sum(-1) / total, (mass.sum(-1) * middle).sum(-1) / total], -1)


@GRIDS
def test_the_grid_is_complete(name, grid):
    split, names = make_shapes(grid)
    sizes = tuple(grid.sizes.values())
    num = {"shapes": 17_280, "color_shapes": 20_736}[name]
    assert names == tuple(grid.sizes)
    assert (split.x.shape, split.x.dtype) == ((num, 32, 32, 3 if "color" in names else 1), np.uint8)
    assert split.factors.dtype == split.label.dtype == np.int32
    assert np.unique(split.factors, axis=0).shape == split.factors.shape == (np.prod(sizes), len(sizes))
    assert split.factors.min() == 0
    assert tuple(split.factors.max(0) + 1) == sizes
    np.testing.assert_array_equal(split.label, split.factors[:, 0])
    np.testing.assert_array_equal(make_shapes(grid)[0].x, split.x)


def test_labels_have_the_names_of_the_shapes():
    assert data.load("color_shapes").class_names == ("square", "ellipse", "heart")


@GRIDS
def test_each_step_of_each_factor_changes_the_image(drawn, name, grid):
    images = drawn[name]
    for axis in range(len(grid.sizes)):
        values = np.moveaxis(images, axis, 0)
        assert (values[1:] != values[:-1]).any((-3, -2, -1)).all()


@GRIDS
def test_only_symmetric_shapes_repeat_and_only_under_rotation(drawn, name, grid):
    images, turns = drawn[name], grid.sizes["rotation"]
    square, ellipse, heart = (np.moveaxis(images[shape], 1, 0) for shape in range(3))
    half = np.arange(turns) - turns // 2
    np.testing.assert_array_equal(square, square[half])
    np.testing.assert_array_equal(ellipse, ellipse[half])
    assert (heart != heart[half]).any((-3, -2, -1)).all()
    whole = images.reshape(-1, *images.shape[-3:])
    assert len({image.tobytes() for image in whole}) == len(whole) * 2 // 3  # half of two thirds, and a third


@pytest.mark.parametrize("turns", [4, 8])
def test_a_quarter_turn_leaves_the_square_and_turns_the_heart(turns):
    grid = shapes.Grid(SHAPES.sizes | {"rotation": turns, "x": 1, "y": 1}, step=1)
    square, ellipse, heart = make_shapes(grid)[0].x.reshape(3, 4, turns, 32, 32)
    quarter = turns // 4
    for turned, shape in ((square, square), (ellipse, ellipse), (heart, heart)):
        rotated = np.rot90(shape, axes=(-2, -1))  # anticlockwise
        np.testing.assert_array_equal(turned[:, quarter:], rotated[:, :-quarter])
    np.testing.assert_array_equal(square[:, quarter:], square[:, :-quarter])
    assert (ellipse[:, quarter:] != ellipse[:, :-quarter]).any((-2, -1)).all()
    np.testing.assert_array_equal(heart[:, 0], heart[:, 0, :, ::-1])
    tip = np.flatnonzero(heart[-1, 0].any(1))[-1]
    assert np.count_nonzero(heart[-1, 0, tip]) <= 2  # which is below
    assert (heart[:, 0] != heart[:, 0, ::-1]).any((-2, -1)).all()


AREAS = {  # of shapes whose farthest point from the centroid is at 1
    "square": 2,
    "ellipse": np.pi / 2,
    "heart": (4 + np.pi) / 2 / (1 + (np.pi / 2 + 2 / 3) / (4 + np.pi)) ** 2,
}


@GRIDS
def test_the_area_grows_with_scale_as_it_must(drawn, name, grid):
    images = drawn[name]
    area = coverage(images).sum((-2, -1))
    assert (np.diff(area, axis=1) > 0).all()
    radius = shapes.RADIUS * np.linspace(shapes.SMALLEST, 1, grid.sizes["scale"])
    expected = np.array(list(AREAS.values()))[:, None] * radius**2
    expected = expected.reshape(3, -1, *[1] * (area.ndim - 2))
    np.testing.assert_allclose(
        area, np.broadcast_to(expected, area.shape), rtol=0.035
    )  # edges are known to 1/8 of a pixel


@GRIDS
def test_the_centroid_is_the_position(drawn, name, grid):
    found = np.moveaxis(centroid(drawn[name]), (3, 4), (0, 1))  # [x, y, ..., 2]
    steps = grid.step * (np.arange(grid.sizes["x"]) - (grid.sizes["x"] - 1) / 2)
    x, y = np.meshgrid(steps, steps, indexing="ij")
    expected = np.stack([x, y], -1).reshape(*x.shape, *[1] * (found.ndim - 3), 2)
    assert np.abs(found - expected).max() < 0.05


@GRIDS
def test_no_shape_is_cut_off_by_the_edge(drawn, name, grid):
    positions = grid.step * (grid.sizes["x"] - 1) / 2
    assert positions + shapes.RADIUS <= 16
    inside = np.zeros((34, 34))
    inside[1:-1, 1:-1] = coverage(drawn[name]).max(tuple(range(drawn[name].ndim - 3)))
    middle = np.arange(34) - 16.5
    reach = np.maximum(abs(middle), abs(middle[:, None]))
    assert inside[reach > positions + shapes.RADIUS + 0.5].max() == 0
    assert inside.max() == 1


@pytest.mark.slow
def test_colors_are_six_hues_of_the_same_drawing(drawn):
    images = drawn["color_shapes"]
    grey = coverage(images)
    np.testing.assert_array_equal(grey, np.broadcast_to(grey[..., :1, :, :], grey.shape))
    colors = images.reshape(-1, 6, 32 * 32, 3).max((0, 2))
    assert colors.tolist() == (255 * np.array(shapes.COLORS)).tolist()
    assert len({tuple(color) for color in colors.tolist()}) == 6


@pytest.mark.parametrize(
    "factors", [[[0, 0, 0, 0, 12]], [[0, 0, -1, 0, 0]], [[0, 0, 0, 0]], [[0] * 6], [0, 0, 0, 0, 0]]
)
def test_what_is_not_in_the_grid_is_not_drawn(factors):
    with pytest.raises(UserError, match="a row is shape 0 to 2, scale 0 to 3, rotation 0 to 9, x 0 to 11, y 0 to 11"):
        render(np.array(factors))


# Factors on their way to a model.


@GRIDS
def test_splits_keep_factors_with_their_images(name, grid):
    loaded = data.load(name)
    assert (loaded.max_value, loaded.factor_names) == (255, tuple(grid.sizes))
    for split in loaded[1:4]:
        np.testing.assert_array_equal(render(split.factors, grid), split.x)
        np.testing.assert_array_equal(split.label, split.factors[:, 0])
        assert set(split.arrays) == {"x", "label"}
    sizes = [len(split.x) for split in loaded[1:4]]
    assert sizes == {"shapes": [12_442, 1_382, 3_456], "color_shapes": [14_930, 1_659, 4_147]}[name]
    rows = np.concatenate([split.factors for split in loaded[1:4]])
    assert len(np.unique(rows, axis=0)) == sum(sizes) == np.prod(list(grid.sizes.values()))
    jax.tree.map(np.testing.assert_array_equal, data.load(name)[1:4], loaded[1:4])


@pytest.mark.slow
def test_binarising_resizing_and_no_validation_keep_factors():
    loaded = data.load("shapes", binarization="threshold", image_size=16, validation_fraction=0)
    assert (loaded.shape, loaded.max_value, loaded.validation.factors.shape) == ((16, 16, 1), 1, (0, 5))
    whole = data.load("shapes", image_size=16, validation_fraction=0)
    np.testing.assert_array_equal(loaded.test.x, whole.test.x >= 127.5)
    np.testing.assert_array_equal(loaded.test.factors, whole.test.factors)


def test_the_checksum_is_of_what_is_trained_on():
    split = data.load("digits").validation
    with_factors = split._replace(factors=np.zeros((len(split.x), 2), np.int32))
    assert data.checksum(with_factors) == data.checksum(split)


X = np.random.default_rng(0).integers(0, 256, (40, 6, 5), np.uint8)
FACTORS = np.stack([np.arange(40), np.arange(40) % 3, X[:, 0, 0]], 1)


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("names", [None, ("row", "third", "corner")])
@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_the_factors_of_one_array(tmp_path, names, kind):
    more = {} if names is None else {"factor_names": np.array(names)}
    loaded = data.load(path=save(tmp_path / "a.npz", whatever=X, factors=FACTORS.astype(kind), **more))
    assert loaded.factor_names == (names or ("factor_0", "factor_1", "factor_2"))
    for split in loaded[1:4]:
        assert split.factors.dtype == np.int32
        np.testing.assert_array_equal(split.x[..., 0], X[split.factors[:, 0]])
        np.testing.assert_array_equal(split.factors, FACTORS[split.factors[:, 0]])


@pytest.mark.parametrize("form", ["factors_{}", "{}_factors"])
@pytest.mark.parametrize("validation", ["validation", "valid", "val"])
def test_the_factors_of_splits(tmp_path, form, validation):
    cuts = {"train": slice(0, 25), validation: slice(25, 31), "test": slice(31, 40)}
    arrays = {f"x_{key}": X[cut] for key, cut in cuts.items()}
    arrays |= {form.format(key): FACTORS[cut] for key, cut in cuts.items() if key != "test"}
    loaded = data.load(path=save(tmp_path / "a.npz", **arrays))
    for split, cut in zip(loaded[1:3], cuts.values(), strict=False):
        np.testing.assert_array_equal(split.factors, FACTORS[cut])
    assert loaded.test.factors is None


def test_data_without_factors_has_no_names():
    digits = data.load("digits")
    assert digits.factor_names == ()
    assert [split.factors for split in digits[1:4]] == [None] * 3


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"factors": FACTORS / 2}, "The train factors are float64 (40, 3)"),
        ({"factors": FACTORS[:, 0]}, "The train factors are int64 (40,)"),
        ({"factors": FACTORS[:, :0]}, "The train factors are int64 (40, 0)"),
        ({"factors": FACTORS.astype(str)}, "whole numbers [N, factors]"),
        ({"factors": FACTORS[:-1]}, "40 examples but 39 rows of factors"),
        ({"factors": FACTORS << 31}, "they must fit into 32 bits"),
        ({"factors": FACTORS, "factor_names": np.array(["a", "b"])}, "3 columns, but the names are a, b;"),
        ({"factors": FACTORS, "factor_names": np.array(["a", "b", "a"])}, "no name twice"),
        ({"factor_names": np.array(["a", "b"])}, "no columns, but the names are a, b;"),
        ({"factors": FACTORS, "factor_names": np.arange(3)}, "must be a list of strings"),
        ({"factors": FACTORS, "factor_names": np.array("abc")}, "must be a list of strings"),
        ({"factors": FACTORS, "x_test": X, "factors_test": FACTORS[:, :2]}, "2 and 3 columns"),
    ],
)
def test_factors_that_are_none_are_refused(tmp_path, arrays, said):
    with pytest.raises(UserError, match=re.escape(said)):
        data.load(path=save(tmp_path / "a.npz", x=X, **arrays))
