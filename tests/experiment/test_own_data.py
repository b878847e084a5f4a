"""Data by the name of a function of one's own: treated as a file is, and checked."""

import numpy as np
import pytest
from own_module import bring_in, name

from jaxvae import data, priors
from jaxvae.common.errors import UserError
from jaxvae.data.text import SPECIAL
from jaxvae.experiment import defaults, sources


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """This module under a name of its own, imported already."""
    return bring_in(monkeypatch, globals())


def prior(latent_dim: int) -> priors.Prior:
    return priors.standard_normal(latent_dim)


IMAGES = np.arange(100 * 16).reshape(100, 4, 4) % 256


def faces(num: int = 100) -> dict[str, np.ndarray]:
    return {"x": IMAGES[:num], "y": np.arange(num) % 3}


def with_test_set(image_size: int, num: int = 100) -> dict[str, np.ndarray]:
    assert image_size == 3
    return {"x_train": IMAGES[:num, :3, :3], "x_test": IMAGES[:7, :3, :3]}


def whole(validation_fraction: float) -> data.Dataset:
    return data.from_arrays("whole", {"x": IMAGES}, validation_fraction=validation_fraction)


def too_bright() -> data.Dataset:
    return data.from_arrays("x", {"x": IMAGES})._replace(max_value=1.0)


def sentences() -> data.Dataset:
    tokens = np.tile(np.array([2, 3, 0, -1], np.int32), (50, 1))
    split = data.Split(tokens)
    return data.Dataset("text", split, split, split, 3.0, sequence="text", vocabulary=(*SPECIAL, "a", "b")[:4])


def with_names() -> data.Dataset:
    rows = {"x": IMAGES.reshape(100, 16) / 255, "y": np.where(np.arange(100) % 2, "cat", "dog")}
    return data.from_arrays("pets", rows)._replace(columns=tuple(f"c{i}" for i in range(16)))


def unusable() -> dict[str, np.ndarray]:
    return {"x": np.full((100, 4), np.inf)}


def load(function, **settings):
    config = defaults.get_config("mine", name(function)).to_dict()["data"]
    return sources.load({**config, "validation_fraction": 0.1, **settings})


def test_data_of_ones_own_is_treated_as_a_file_is():
    found = load("faces", binarization="threshold", options={"num": 50})
    assert found.name == "faces"
    assert [len(split.x) for split in (found.train, found.validation, found.test)] == [36, 4, 10]
    assert (found.max_value, found.shape, found.train.label.dtype.kind) == (1.0, (4, 4, 1), "i")
    assert load("faces").max_value == 255.0
    assert load("faces", image_size=2).shape == (2, 2, 1)


def test_names_of_a_dataset_of_ones_own_are_kept():
    found = load("with_names")
    assert (found.class_names, found.columns[:2]) == (("cat", "dog"), ("c0", "c1"))
    labelled = load("faces", label="y")
    np.testing.assert_array_equal(np.unique(labelled.train.label), [0, 1, 2])
    with pytest.raises(UserError, match=r"data.label is 'kind', but 'some_users_pkg.parts:whole' returns a Dataset"):
        load("whole", label="kind")
    with pytest.raises(UserError, match="'kind'"):
        load("faces", label="kind")


def test_data_of_ones_own_gets_the_settings_that_it_names():
    found = load("with_test_set", image_size=3)
    assert (found.shape, len(found.test.x)) == ((3, 3, 1), 7)
    without = load("whole", validation_fraction=0.0)
    assert [len(split.x) for split in (without.train, without.validation, without.test)] == [80, 0, 20]
    np.testing.assert_array_equal(load("whole").train.x, load("faces").train.x)


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        ("faces", {"options": {"nums": 3}}, "Unknown option 'nums' of the data 'some_users_pkg.parts:faces'. Did you"),
        ("faces", {"stream": True}, "has no argument `stream`"),
        ("faces", {"kind": "text", "pixel_range": ()}, "returned images (or other arrays): set data.kind to 'images'"),
        ("faces", {"kind": "vidoe"}, "Unknown data.kind 'vidoe'"),
        ("sentences", {}, "data.kind is 'images', but 'some_users_pkg.parts:sentences' returned text"),
        ("too_bright", {}, "has max_value=1.0, but its greatest value is 255.0"),
        ("unusable", {}, "infinite values"),
        ("prior", {}, "-> jaxvae.data.Dataset | dict[str, numpy.ndarray]`"),
    ],
)
def test_data_of_ones_own_that_is_refused(function, settings, message):
    with pytest.raises(UserError) as error:
        load(function, **settings)
    assert message in str(error.value)


def test_sequences_of_ones_own():
    found = load("sentences", kind="text", pixel_range=())
    assert (found.sequence, len(found.vocabulary), found.shape) == ("text", 4, (4,))


def test_built_in_data_takes_no_options():
    settings = defaults.get_config("mine").to_dict()["data"]
    with pytest.raises(UserError, match="'digits' takes none, but got largest"):
        sources.load({**settings, "options": {"largest": 3}})
