"""NaN in floats is a missing value, from every source; infinite values and empty columns are refused."""

import numpy as np
import pytest

from jaxvae import UserError, data
from jaxvae.data.incoming import stored_and_mask
from jaxvae.data.spec import describe
from jaxvae.experiment import build, defaults

SETTINGS = {
    "kind": "images", "name": "x", "path": "", "binarization": "none", "pixel_range": (0.0, 1.0), "scaling": "none",
    "image_size": 0, "label": "", "validation_fraction": 0.1, "data_dir": "", "cache_dir": "", "stream": False,
    "sequence": {"unit": "word"},
}  # fmt: skip
RNG = np.random.default_rng(0)
TABLE = (RNG.normal(size=(50, 3)) * [1, 10, 100]).astype(np.float32)
SEEN = RNG.uniform(size=TABLE.shape) < 0.7
HOLES = np.where(SEEN, TABLE, np.nan)


def rows(dataset):
    """x with NaN where a value is missing, in the order of the source."""
    made = np.empty_like(TABLE)
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        assert np.all(np.isfinite(split.x))
        made[dataset.rows_of(name)] = np.where(split.mask, split.x, np.nan)
    return made


def of_csv(tmp_path, form):
    cells = [["" if np.isnan(v) else repr(float(v)) for v in row] for row in HOLES]
    (tmp_path / "a.csv").write_text("\n".join(map(",".join, [["a", "b", "c"], *cells])))
    return data.load_data({**SETTINGS, "path": str(tmp_path / "a.csv"), "options": {}})


def of_frame(tmp_path, form):
    frame = pytest.importorskip("pandas").DataFrame(HOLES, columns=["a", "b", "c"])
    if form == "parquet":
        frame.to_parquet(tmp_path / "a.parquet")
        return data.load_data({**SETTINGS, "path": str(tmp_path / "a.parquet"), "options": {}})
    return data.as_dataset(frame, SETTINGS)


def of_array(tmp_path, form):
    return data.as_dataset(np.ma.masked_invalid(HOLES) if form == "masked" else HOLES, SETTINGS)


@pytest.mark.parametrize(
    ("make", "form"), [(of_csv, ""), (of_frame, "frame"), (of_frame, "parquet"), (of_array, ""), (of_array, "masked")]
)
def test_nan_is_a_missing_value_of_every_source(tmp_path, make, form):
    made = make(tmp_path, form)
    np.testing.assert_array_equal(rows(made), HOLES)
    num, some = (~SEEN).sum(), (~SEEN).any(axis=1).sum()
    assert f"{num} of 150 values are missing ({num / 150:.1%}), in {some} rows" in made.notes
    assert describe(made, SETTINGS)[0].has_missing


def test_nan_and_a_mask_are_both_missing():
    mask = RNG.uniform(size=TABLE.shape) < 0.8
    made = data.from_arrays("a", {"x": HOLES, "mask": mask})
    np.testing.assert_array_equal(rows(made), np.where(mask, HOLES, np.nan))


def test_a_mask_of_ones_is_data_without_missing_values():
    made = data.from_arrays("a", {"x": TABLE, "mask": np.ones(TABLE.shape, bool)})
    assert made.notes == ()
    assert made.train.mask is None
    assert not describe(made, SETTINGS)[0].has_missing


def test_new_data_of_a_run_has_a_mask_where_it_is_nan():
    spec, _ = describe(data.as_dataset(HOLES, SETTINGS), SETTINGS)
    stored, mask = stored_and_mask(spec, SETTINGS, HOLES[:5])
    np.testing.assert_array_equal(mask, SEEN[:5])
    np.testing.assert_array_equal(stored, np.where(SEEN, TABLE, 0)[:5])
    assert stored_and_mask(spec, SETTINGS, TABLE)[1] is None
    with pytest.raises(UserError, match="1 values that are NaN, the first in row 1, column 2"):
        data.as_stored(spec, SETTINGS, np.where(np.arange(6).reshape(2, 3) == 5, np.nan, 1.0))


def test_whole_numbers_with_holes_are_whole_numbers_of_the_run():
    pixels = RNG.integers(0, 256, (40, 6, 5), np.uint8)
    spec, _ = describe(data.as_dataset(pixels, SETTINGS), SETTINGS)
    stored, mask = stored_and_mask(spec, SETTINGS, np.where(pixels > 200, np.nan, pixels))
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(mask[..., 0], pixels <= 200)
    np.testing.assert_array_equal(stored[..., 0], np.where(pixels > 200, 0, pixels))


def test_a_column_without_values_is_refused_by_name(tmp_path):
    empty = "a,b,c\n" + "".join(f"{i},,{i / 2}\n" for i in range(30))
    (tmp_path / "a.csv").write_text(empty)
    with pytest.raises(UserError, match=r"All training values are missing in the column 'b': a model cannot learn it"):
        data.load(path=str(tmp_path / "a.csv"))


def test_a_likelihood_of_whole_examples_is_refused_with_those_that_are_products():
    config = defaults.get_config("test").to_dict()
    spec = data.DataSpec((8, 8, 1), 256, True, has_missing=True)
    config["model"]["likelihood"] = {"name": "ms_ssim"}
    with pytest.raises(UserError, match=r"'ms_ssim' compares whole examples.*products over values: bernoulli, .*gauss"):
        build.model(config, spec)
    config["model"]["likelihood"] = {"name": "gaussian", "learn": "optimal"}
    with pytest.raises(UserError, match=r"'gaussian' .*compares whole examples"):
        build.model(config, spec)
