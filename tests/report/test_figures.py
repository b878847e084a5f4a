"""Limits of the curves' axes, the looks of classes, the size of sheets, and files that are the same every time."""

import re
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxvae.report import figures, palette, plots, style
from jaxvae.report.pictures import shrunk
from jaxvae.tools.base import Labels


def rows_of(train, validation):
    return [
        {"epoch": float(epoch), "split": split, "loss": value}
        for split, values in (("train", train), ("validation", validation))
        for epoch, value in enumerate(values, start=1)
    ]


def test_the_first_steps_are_cut_off_and_a_rise_of_validation_is_not():
    train = np.concatenate([[900.0], np.linspace(100, 10, 99)])
    validation = np.concatenate([np.linspace(95, 30, 50), np.linspace(30, 200, 50)])  # overfits
    low, high = plots.curve_limits(rows_of(train, validation), "loss")
    assert low < 10
    assert 200 < high < 300


def test_without_a_rise_the_limits_leave_out_the_highest_fiftieth():
    train = np.concatenate([[900.0, 500.0], np.linspace(100, 10, 98)])
    low, high = plots.curve_limits(rows_of(train, train[2:]), "loss")
    assert low < 10
    assert 100 < high < 120


def test_after_a_warm_start_an_early_rise_of_validation_is_shown():
    train = np.linspace(24, 20, 200)  # a warm start begins low
    validation = np.concatenate([[25.0, 90.0], np.full(98, 30.0)])  # and may forget in its first epochs
    low, high = plots.curve_limits(rows_of(train, validation), "loss")
    assert low < 20
    assert 90 < high < 100
    always = plots.curve_limits(rows_of(train, [60.0, 61.0]), "loss")  # above everything else, and all of it shown
    assert always[1] > 61


def test_few_values_are_all_drawn():
    assert plots.curve_limits(rows_of([3.0, 2.0], [4.0]), "loss") is None


@pytest.mark.parametrize(("shape", "pixels"), [((1612, 37, 3), 6000), ((50, 100, 3), 450)])
def test_a_sheet_is_as_tall_as_its_pictures_and_its_title(shape, pixels, tmp_path):
    made = figures.sheet(np.zeros(shape, np.uint8), "title")
    style.save(made, tmp_path / "sheet", dpi=figures.SHEET_DPI)
    with Image.open(tmp_path / "sheet.png") as image:
        assert pixels < image.size[1] <= pixels + 100
        assert image.size[0] <= 1000


def test_a_long_title_is_broken_into_lines_that_fit():
    made = figures.sheet(np.zeros((100, 100, 3), np.uint8), "between two test examples " * 4)
    made.set_dpi(100)
    made.canvas.draw()
    extent = made.axes[0].title.get_window_extent()
    assert extent.height > 20
    assert extent.x0 >= 0
    assert extent.x1 <= made.bbox.x1


def test_thumbnails_are_small():
    pictures = np.random.default_rng(0).integers(0, 256, size=(3, 128, 32, 3), dtype=np.uint8)
    small = shrunk(pictures, 64)
    means = pictures.reshape(3, 64, 2, 16, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small, means, atol=1)  # rounded by columns, then by rows
    np.testing.assert_array_equal(shrunk(small, 64), small)
    assert shrunk(pictures[:, :100, :1], 64).shape == (3, 64, 1, 3)


def test_labels_stand_beside_their_rows_below_their_columns_and_apart():
    picture = figures.tile(np.zeros((33, 8, 8, 3), np.uint8), 11)
    labels = Labels(
        ("z[3]  1.25 nats", "z[12]  0.50 nats", "z[0]  0.10 nats"), tuple(map(str, range(11))), "change " * 20
    )
    made = figures.sheet(picture, "a title " * 20, labels)
    style.encode(made, dpi=style.SCREEN_DPI)
    axes, page = made.axes[0], made.bbox
    assert [text.get_text() for text in axes.get_yticklabels()] == list(labels.rows)
    np.testing.assert_allclose(axes.get_yticks(), [4.5, 13.5, 22.5], atol=0.6)  # 8 pixels and a gap
    shown = [int(text.get_text()) for text in axes.get_xticklabels()]
    np.testing.assert_allclose(axes.get_xticks(), 4.5 + 9 * np.asarray(shown), atol=0.6)
    texts = [axes.title, axes.xaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    boxes = [text.get_window_extent() for text in texts]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert made.get_size_inches()[0] <= 3.3


@pytest.mark.parametrize("count", [2, 8, 9, 24, 25, 100])
def test_no_two_classes_look_the_same(count):
    looks = palette.of_classes(count)
    assert len(set(looks)) == len(looks) == count
    if count <= 8:
        assert len({look.color for look in looks}) == count


def test_no_two_curves_look_the_same():
    assert len(set(palette.of_curves(palette.MOST_CURVES))) == palette.MOST_CURVES


def scatter(count, names=()):
    labels = np.arange(200) % count
    return plots.latent_scatter(np.random.default_rng(0).normal(size=(200, 2)), labels, names)


def test_classes_have_a_legend_with_their_names_and_many_a_colour_bar():
    names = ["sitting", "standing", "walking"]
    legend = scatter(3, names).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == names
    axes, bar = scatter(40).axes
    assert axes.get_legend() is None
    assert bar.get_ylabel() == "class, 40 in order"
    assert bar.get_yticklabels()[-1].get_text() == "39"
    assert len(scatter(3, ["only one"]).axes[0].get_legend().get_texts()) == 3  # names that do not fit are not used


@pytest.mark.parametrize("count", [5, 24])
def test_long_names_of_classes_stand_below_the_plot_and_take_nothing_from_it(count):
    names = [f"a class with a name, no. {i}" for i in range(count)]
    made = scatter(count, names)
    style.encode(made, dpi=style.SCREEN_DPI)
    (legend,), axes = made.legends, made.axes[0]
    assert [text.get_text() for text in legend.get_texts()] == names
    box, page = legend.get_window_extent(), made.bbox
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1  # noqa: PT018 (one fact: it is inside)
    assert box.y1 <= axes.xaxis.label.get_window_extent().y0
    few = scatter(3)
    style.encode(few, dpi=style.SCREEN_DPI)
    assert axes.get_window_extent().width > 0.9 * few.axes[0].get_window_extent().width
    assert made.get_size_inches()[0] <= 3.3


def test_markers_are_large_enough_to_tell_classes_of_one_colour_apart():
    codes = np.random.default_rng(0).normal(size=(5000, 2))
    sizes = [
        min(one.get_sizes().min() for one in plots.latent_scatter(codes, np.arange(5000) % count).axes[0].collections)
        for count in (8, 9)
    ]
    assert sizes == [1.5, plots.SEEN]


def test_curves_have_a_panel_for_the_loss_of_each_group():
    rows = rows_of([3.0, 2.0, 1.5], [2.5, 2.0, 1.8])
    for i, row in enumerate(rows):
        row |= {"discriminator_loss": 1.0 + i, "critic_loss": None, "discriminator_accuracy": 0.5}
    made = plots.curves(rows)
    assert [axes.get_ylabel() for axes in made.axes] == ["loss (nats)", "discriminator loss"]
    assert {tuple(line.get_ydata()) for line in made.axes[1].lines} == {
        tuple(row["discriminator_loss"] for row in rows if row["split"] == split) for split in ("train", "validation")
    }


FIGURES = {
    "curves": lambda: plots.curves(rows_of([3.0, 2.0, 1.5], [2.5, 2.0, 1.8])),
    "scatter": lambda: scatter(10),
    "many": lambda: scatter(30),
    "confusion": lambda: plots.confusion([[5, 1], [0, 7]], ["no", "yes"]),
    "rate_distortion": lambda: plots.rate_distortion({"beta": [0.1, 1, 9], "rate": [9, 5, 1], "distortion": [1, 2, 7]}),
    "rank_histogram": lambda: plots.rank_histogram([[9, 12, 10], [8, 11, 12]], (4, 17)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_have_axes_with_names_fit_a_column_and_are_readable(name):
    made = FIGURES[name]()
    assert made.get_size_inches()[0] <= 3.3
    style.encode(made, "png")
    for axes in made.axes:
        assert axes.get_ylabel()
        assert all(text.get_fontsize() >= 7 for text in [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels()])
    assert made.axes[0].get_xlabel() or made.axes[-1].get_xlabel()


@pytest.mark.parametrize("kind", style.FORMATS)
def test_a_figure_has_the_same_bytes_every_time(kind, tmp_path):
    first, second = (style.encode(FIGURES["scatter"](), kind) for _ in range(2))
    assert first == second
    assert not re.search(rb"CreationDate|<dc:date>", first)


def test_a_pdf_embeds_truetype_fonts():
    data = style.encode(FIGURES["curves"](), "pdf")
    assert b"/FontFile2" in data
    assert b"/Type3" not in data
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S)
    assert any(zlib.decompress(one)[:4] == b"\x00\x01\x00\x00" for one in streams if one[:1] == b"x")


def test_saving_replaces_figures_of_other_formats(tmp_path):
    for kind, wanted in (("pdf", {"x.y.png", "x.y.pdf"}), ("svg", {"x.y.png", "x.y.svg"}), ("png", {"x.y.png"})):
        made = style.save(FIGURES["curves"](), tmp_path / "x.y", kind)
        assert {path.name for path in made} == {path.name for path in tmp_path.iterdir()} == wanted
