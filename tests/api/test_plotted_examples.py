"""Run.plot_examples and Run.sentences: images and music as figures, text as sentences."""

import io

import numpy as np
import pytest
from PIL import Image

import jaxvae
from jaxvae.common.errors import UserError


@pytest.fixture(scope="module")
def digits():
    return jaxvae.load("zoo/vae_2d-digits"), jaxvae.data.load("digits").test.x


def drawn(figure):
    """What a figure shows, in grey values of one picture element each."""
    return figure.axes[0].get_images()[0].get_array()[..., 0]


def test_images_are_drawn_in_rows(digits):
    run, x = digits
    shown = drawn(run.plot_examples(x[:12], "a title"))
    assert shown.shape == (2 * 9 + 1, 8 * 9 + 1)  # 8 in a row, 8 pixels each, with gaps
    np.testing.assert_array_equal(shown[1:9, 1:9], np.round(x[0, ..., 0] * (255 / 16)))
    assert drawn(run.plot_examples(x[:12], columns=4)).shape == (3 * 9 + 1, 4 * 9 + 1)
    np.testing.assert_array_equal(drawn(run.plot_examples(x[:12, ..., 0])), shown)


def test_pairs_are_drawn_above_one_another(digits):
    run, x = digits
    made = run.reconstruct(x[:3])
    shown = drawn(run.plot_examples(np.stack([x[:3], made], axis=1)))
    assert shown.shape == (2 * 9 + 1, 3 * 9 + 1)
    np.testing.assert_array_equal(shown[10:18, 10:18], np.round(made[1, ..., 0] / 16 * 255))


def test_a_notebook_shows_the_figure_without_pyplot(digits):
    run, x = digits
    with Image.open(io.BytesIO(run.plot_examples(x[:8])._repr_png_())) as picture:
        assert (picture.format, picture.width) == ("PNG", 480)


def test_music_is_drawn_and_text_is_written():
    music = jaxvae.load("zoo/music_vae-melodies")
    assert drawn(music.plot_examples(music.sample(2))).ndim == 2
    text = jaxvae.load("zoo/text_vae-sentences")
    sentences = ["the old dog will sleep", "the bird"]
    assert all(text.sentences(text.sample(3)))
    codes = text.encode(sentences)
    assert text.sentences(text.reconstruct(sentences)) == text.sentences(text.decode(codes))
    with pytest.raises(UserError, match=r"not images or music: sentences of text are run\.sentences"):
        text.plot_examples(text.sample(3))
    with pytest.raises(UserError, match=r"of this run is music, not text"):
        music.sentences(music.sample(2))
    with pytest.raises(UserError, match=r"float64 of shape \(3,\); give whole numbers \[N, T\]"):
        text.sentences(np.zeros(3))


def test_what_cannot_be_drawn_is_refused(digits):
    run, x = digits
    with pytest.raises(UserError, match=r"shape \(5, 4, 4, 1\); give \[N, 8, 8, 1\], or \[rows, columns, 8, 8, 1\]"):
        run.plot_examples(np.zeros((5, 4, 4, 1)))
    with pytest.raises(UserError, match="have shape"):
        run.plot_examples(x[:0])
    with pytest.raises(UserError, match="not a sequence, not text"):
        run.sentences(x)
    table = jaxvae.load("zoo/miwae_missing-breast_cancer")
    with pytest.raises(UserError, match="not images or music"):
        table.plot_examples(table.sample(2))
