"""Images that cannot be streamed, or change while they are: refused and named, and nothing is lost."""

from pathlib import Path

import jax
import numpy as np
import pytest
from stream_tools import assert_same, draw
from test_tfds import IMAGES

from jaxvae import UserError, data
from jaxvae.data import cache
from jaxvae.data.stream import Rows, make_items


def test_streamed_images_of_unequal_sizes_are_refused_naming_two(both, images):
    draw(images / "dogs" / "large.png", size=(30, 20))
    for stream in (False, True):
        with pytest.raises(
            UserError, match=r"2 sizes, among them: 'cats/03.png' is \(6, 5, 3\) and 'dogs/large.png' is \(20, 30, 3\)"
        ):
            data.load(path=str(images), cache_dir=str(images.parent / "cache"), stream=stream)
    assert_same(*both(image_size=4))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("shapes", "size", "said"),
    [
        ([(6, 5, 3), (6, 4, 3)], 0, r"\(6, 5, 3\) at item 0 and \(6, 4, 3\) at item 1, have unequal sizes"),
        ([(6, 5, 3), (6, 5, 1)], 0, r"\(6, 5, 3\) at item 0 and \(6, 5, 1\) at item 1, have unequal numbers of chan"),
        ([(6, 5, 3), (9, 5, 1)], 4, r"\(4, 4, 3\) at item 0 and \(4, 4, 1\) at item 1, have unequal numbers of chan"),
        ([(6, 5, 4), (6, 5, 4)], 4, r"uint8 of shape \(6, 5, 4\)"),
        ([(6,), (6,)], 4, r"uint8 of shape \(6,\)"),
        ([(0, 5, 3), (0, 5, 3)], 4, r"uint8 of shape \(0, 5, 3\)"),
        ([], 0, "holds no images"),
    ],
)
def test_images_of_a_source_that_do_not_fit_together_are_refused(tmp_path, shapes, size, said, stream):
    source = [{"image": np.zeros(shape, np.uint8)} for shape in shapes]
    with pytest.raises(UserError, match=said):
        data.from_sources("a", {"train": source}, tmp_path / "kept", size, stream=stream)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stream", [False, True])
def test_a_folder_without_a_readable_image_is_refused(tmp_path, stream):
    (tmp_path / "a").mkdir()
    for name in ("junk.png", "notes.txt"):
        with pytest.raises(UserError, match=r"a' holds no readable image \(.bmp"):
            data.load(path=str(tmp_path / "a"), cache_dir=str(tmp_path), stream=stream)
        (tmp_path / "a" / name).write_bytes(b"no image")


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "1", "CMYK"])
def test_every_kind_of_image_becomes_grey_or_colored(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    for i in range(20):
        draw(tmp_path / "a" / f"{i:02}.{suffix}", i, mode=mode)
    memory, streamed = (
        data.load(path=str(tmp_path / "a"), cache_dir=str(tmp_path), stream=stream) for stream in (False, True)
    )
    assert memory.shape == (6, 5, 1 if mode in ("LA", "1") else 3)
    assert_same(memory, streamed)


def test_what_cannot_be_streamed_is_refused(tmp_path, both):
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "arrays" / "x.npy", IMAGES)
    for options in ({"path": str(tmp_path / "a.npy")}, {"path": str(tmp_path / "arrays")}, {"name": "digits"}):
        with pytest.raises(UserError, match=r"data\.stream is True, but .* only TFDS data sets and folders"):
            data.load(**options, stream=True)
    for binarization in ("static", "threshold"):
        with pytest.raises(UserError, match=f"'{binarization}', which is done once"):
            both(binarization=binarization)
    with pytest.raises(UserError, match="float64; only uint8 ones can be streamed"):
        data.from_sources("a", {"train": [{"image": x / 255} for x in IMAGES]}, tmp_path / "kept", stream=True)
    with pytest.raises(UserError, match=r"data\.workers is -1"):
        data.make_feed(both()[1].train, 4, 0, workers=-1)


class Failing:
    """A source that breaks for a while."""

    def __init__(self):
        self.broken = False

    def __len__(self):
        return 20

    def __getitem__(self, index):
        if self.broken and index == 7:
            raise OSError("the disk is gone")
        return {"image": IMAGES[index]}


@pytest.mark.parametrize("change", [Path.unlink, lambda p: p.write_bytes(b""), lambda p: draw(p, size=(9, 9))])
def test_an_image_that_changes_while_it_is_streamed_is_named_and_nothing_is_lost(both, images, change):
    _, streamed = both()
    feed = data.make_feed(streamed.train, 8, 5)
    whole = feed.items(0, 9)
    paths = sorted((images / "dogs").iterdir())
    kept = [path.read_bytes() for path in paths]
    for path in paths:
        change(path)
    with pytest.raises(UserError, match=r"dogs/\d\d.png' could be read|item \d+ is an image of uint8 \(9, 9, 3\), but"):
        feed.items(9, 9)  # some of which are there already
    for path, content in zip(paths, kept, strict=True):
        path.write_bytes(content)
    jax.tree.map(np.testing.assert_array_equal, feed.items(0, 9), whole)


def test_a_source_that_fails_is_quoted(tmp_path):
    source = Failing()
    rows = data.from_sources("a", {"train": source}, tmp_path / "kept", validation_fraction=0, stream=True).train.x
    source.broken = True
    with pytest.raises(UserError, match=r"cannot be read: the disk is gone"):
        np.asarray(rows)


def fail(step):
    if step == 3:
        raise UserError("step 3 is no good")
    return {"x": np.full(2, step)}


@pytest.mark.slow
def test_a_mistake_found_in_a_worker_is_told_as_it_is():
    items = make_items(fail, 1)
    np.testing.assert_array_equal(items(1, 2)["x"], [[1, 1], [2, 2]])
    with pytest.raises(UserError, match=r"^step 3 is no good$"):
        items(3, 1)
    np.testing.assert_array_equal(items(4, 1)["x"], [[4, 4]])


@pytest.mark.slow
def test_a_folder_made_for_streaming_is_not_taken_for_a_decoded_copy(tmp_path):
    source = {"train": [{"image": x} for x in IMAGES]}
    for stream in (True, False, True, False):
        x = cache.decoded(tmp_path / "kept", lambda: source, stream=stream)["train"].x
        assert isinstance(x, Rows) == stream
        np.testing.assert_array_equal(np.asarray(x), IMAGES)
