"""Folders of images, and what is done to images to make them one size."""

import numpy as np
import pytest
from PIL import Image

from jaxvae import UserError, data

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 6, 5), np.uint8)


def draw(path, mode="L", size=(5, 6), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    """Forty images: grey ones in `cats`, coloured ones in `dogs`."""
    for i in range(20):
        draw(tmp_path / "cats" / f"{i:02}.png", "L", seed=i)
        draw(tmp_path / "dogs" / f"{i:02}.PNG", "RGB", seed=i)
    return tmp_path


def test_a_folder_of_images(folder, capsys):
    mixed = data.load(path=str(folder))
    assert mixed.shape == (6, 5, 3)
    assert mixed.max_value == 255
    labels = np.concatenate([s.label for s in mixed[1:4]])
    grey = np.concatenate([np.ptp(s.x, axis=-1).max(axis=(1, 2)) == 0 for s in mixed[1:4]])
    np.testing.assert_array_equal(labels == 0, grey)
    assert np.bincount(labels).tolist() == [20, 20]
    cats = data.load(path=str(folder / "cats"))
    assert cats.shape == (6, 5, 1)
    assert cats.train.label is None
    assert capsys.readouterr().err == ""


def test_broken_images_are_skipped_and_counted(folder, capsys):
    whole = (folder / "cats" / "00.png").read_bytes()
    (folder / "cats" / "00.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dogs" / "junk.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("is no image and is not counted")
    assert sum(len(s.x) for s in data.load(path=str(folder))[1:4]) == 39
    assert "skipped 2 unreadable images" in capsys.readouterr().err


def test_unequal_images_are_refused_or_resized(folder):
    draw(folder / "dogs" / "large.png", "RGB", (30, 20))
    with pytest.raises(UserError, match=r"2 sizes.*\(20, 30, 3\).*data.image_size"):
        data.load(path=str(folder))
    resized = data.load(path=str(folder), image_size=4)
    assert resized.shape == (4, 4, 3)
    assert sum(len(s.x) for s in resized[1:4]) == 41


def test_sixteen_bit_images_keep_their_greys(tmp_path):
    ramp = np.linspace(0, 65535, 30).reshape(6, 5).astype(np.uint16)
    for i in range(20):
        Image.fromarray(ramp).save(tmp_path / f"{i}.png")
    loaded = data.load(path=str(tmp_path))
    np.testing.assert_allclose(loaded.train.x[0, ..., 0] / loaded.max_value, ramp / 65535, atol=1 / 255)


def test_image_size_of_arrays_takes_the_central_square_and_its_mean(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=PIXELS[..., None], x_test=PIXELS[:9, ..., None])
    loaded = data.load(path=f"{tmp_path}/a.npz", image_size=1)
    assert loaded.shape == (1, 1, 1)
    np.testing.assert_allclose(loaded.test.x.ravel(), PIXELS[:9, :5].mean(axis=(1, 2)), atol=1)  # two roundings


@pytest.mark.parametrize(
    ("x", "size"),
    [(PIXELS, -3), (PIXELS / 255, 3), (PIXELS.reshape(40, 30), 3), (np.zeros((40, 6, 6, 5), np.uint8), 3)],
)
def test_an_image_size_that_cannot_be_had_is_refused(tmp_path, x, size):
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(UserError, match=r"data\.image_size"):
        data.load(path=f"{tmp_path}/a.npy", image_size=size)


def test_the_image_size_of_digits_is_obeyed():
    assert data.load("digits", image_size=4).shape == (4, 4, 1)
