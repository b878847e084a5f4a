"""The classes that an objective learns are those of the context, of all splits, and shares are those of the batches."""

import jax
import numpy as np
import pytest

from jaxvae import data
from jaxvae.experiment import configs
from jaxvae.experiment.setup import setup
from jaxvae.objectives import StepContext
from jaxvae.runs.other_data import load_other


def experiment(labels, share=0.0, batch_size=8, config="m2"):
    settings = configs.load(config)
    settings["data"] |= {"labels": 0, "context": "label" if config == "m2" else ""}
    settings["network"]["hidden"] = (4,)
    settings["train"] |= {"batch_size": batch_size, "labelled_share": share}
    arrays = {}
    for split, label in labels.items():
        arrays |= {f"x_{split}": np.random.default_rng(0).random((len(label), 6), np.float32), f"y_{split}": label}
    return setup(settings, data.from_arrays("a", arrays, validation_fraction=0.2))


def test_a_class_of_the_test_set_alone_has_its_place():
    train, test = np.tile([0, 2, 3], 20), np.arange(20) % 4
    made = experiment({"train": train, "test": test})
    assert made.objective.classes.values == made.spec.context[0].values == (0, 1, 2, 3)
    params, extra = made.objective.init(jax.random.key(0))
    split = made.dataset.test
    probs = made.objective.classes.log_probs(params, extra, {"x": split.x})
    assert probs.shape == (20, 4)


@pytest.mark.parametrize(("share", "rows"), [(0.03, 1), (0.3, 2), (0.5, 4)])
def test_losses_take_the_share_that_batches_have(share, rows):
    """The loss of the classifier is the mean over the labelled rows of a batch, however the share is rounded."""
    size = 20 if share == 0.03 else 8
    made = experiment({"train": np.where(np.arange(60) % 3, -1, np.arange(60) % 2), "test": np.arange(20) % 2},
                      share, size, "classifier")  # fmt: skip
    feed = data.make_feed(made.dataset.train, size, 0, labelled_share=share)
    index = feed.items(0, 1)[0]
    label = made.dataset.train.label[index]
    assert (label >= 0).sum() == rows
    params, extra = made.objective.init(jax.random.key(0))
    batch = {"x": made.dataset.train.x[index], "label": label}
    out = made.objective.loss(params, extra, batch, jax.random.key(1), StepContext(0, 60, is_training=True))
    log_q = np.asarray(made.objective.classes.log_probs(params, extra, batch))
    known = label >= 0
    wanted = -log_q[known, label[known]].mean()
    assert np.mean(out.losses["classifier"]) == pytest.approx(wanted, rel=1e-5)


def test_other_text_is_encoded_by_the_vocabulary_and_the_classes_of_the_run(tmp_path):
    config = configs.load("ssvae_text")
    config["data"] |= {"labels": 30}
    config["network"]["hidden"] = 4
    made = setup(config)
    written = tmp_path / "new.txt"
    config["evaluate"]["data"] = str(written)
    config["data"]["label"] = "tab"
    words = made.dataset.vocabulary
    sentences = [" ".join(words[i] for i in row if i > 0) for row in made.dataset.test.x[:6]]
    names = [made.dataset.class_names[i] for i in made.dataset.test.label[:6]]
    for lines, label in (
        (
            [f"{name}\t{line}" for name, line in zip(["", *names[1:]], sentences, strict=True)],
            [-1, *made.dataset.test.label[1:6]],
        ),
        ([*sentences[:3], "", *sentences[3:]], [-1] * 6),
    ):
        written.write_text("\n".join(lines) + "\n")
        found = load_other(config, made.spec).test
        np.testing.assert_array_equal(found.x, made.dataset.test.x[:6])
        np.testing.assert_array_equal(found.label, label)
