"""Few labels of text: an LSTM on the labels alone, M2 with the same LSTM, and a bag of words, over draws of the labels.

python benchmarks/few_label_text.py FOLDER --labels=0.1 --draws=5     # FOLDER/positive.txt, FOLDER/negative.txt
python benchmarks/few_label_text.py FOLDER --methods=bag_of_words

Each file is a class, one sentence a line. Prints the test accuracy of each draw, then mean and standard deviation.
Validation and test sets are a tenth each, the same in all draws. The bag of words is scikit-learn's logistic regression
on the words that a sentence has, whose strength is chosen by cross-validation among the labels. Naive Bayes is that of
scikit-learn, alone and after expectation maximisation with the other sentences (Nigam et al. 2000), each of which
weighs a tenth of a labelled one.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import vstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

import jaxvae
from jaxvae.api.settings import changed
from jaxvae.data.few_labels import keep_labels
from jaxvae.experiment import configs, sources

TEXT = {"data.label": "file", "data.sequence.vocabulary_size": 3000, "data.sequence.max_length": 40}
METHODS = {  # changes of configs/ssvae_text.py
    "supervised": {"objective": "supervised", "data.context": "", "train.freeze": ("model",)},
    "m2": {},
    "m2_bag": {  # a decoder of independent words without z: naive Bayes, whose classes teach the LSTM
        "network": "bag_of_words", "network.embed_dim": 32, "network.encoder_hidden": 64,
        "network.encoder_dropout": 0.3, "kl": "constant", "kl.beta": 10.0, "objective.unlabelled": 0.1,
    },
}  # fmt: skip
EPOCHS = 24
SMOOTHING, UNLABELLED, STEPS = 0.3, 0.1, 30  # of naive Bayes


def main() -> None:
    """Print a line for each method and draw, then a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--labels", type=float, default=0.1, help="share of the training sentences")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--methods", default=",".join((*WITHOUT_NETWORKS, *METHODS)))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        split_into(Path(folder), Path(asked.folder))
        compare(folder, asked)


def split_into(folder: Path, source: Path) -> None:
    """Write the sentences of each class into folders of the three splits, a fixed choice."""
    for file in sorted(source.glob("*.txt")):
        lines = [line for line in file.read_text().splitlines() if line.strip()]
        order = np.random.default_rng(0).permutation(len(lines))
        ends = [round(share * len(lines)) for share in (0.1, 0.2)]
        for split, rows in zip(("test", "validation", "train"), np.split(order, ends), strict=True):
            (folder / split).mkdir(exist_ok=True)
            (folder / split / file.name).write_text("\n".join(lines[i] for i in sorted(rows)) + "\n")


def compare(folder: str, asked: argparse.Namespace) -> None:
    """Train and judge the methods on every draw of the labels."""
    data = sources.load(changed(configs.load("ssvae_text"), {**TEXT, "data.path": folder})["data"])
    num = round(asked.labels * len(data.train.x))
    print(f"{len(data.train.x)} training sentences, {num} with a label; {len(data.test.x)} of the test set")
    found: dict[str, list[float]] = {}
    for draw in range(asked.draws):
        for method in asked.methods.split(","):
            if method in WITHOUT_NETWORKS:
                accuracy = without_network(method, keep_labels(data, num, draw))
            else:
                accuracy = trained(method, folder, data.test, num, draw, asked.epochs)
            found.setdefault(method, []).append(accuracy)
            print(f"draw {draw}  {method:<16}{accuracy:.4f}", flush=True)
    for name, values in found.items():
        print(f"{name:<16}{np.mean(values):.4f} ± {np.std(values, ddof=min(1, len(values) - 1)):.4f}")


def bag_of_words(texts: list[str], label: np.ndarray, test: list[str]) -> np.ndarray:
    """Return the classes of test texts, by logistic regression on the texts with a label."""
    known = label >= 0
    pipeline = make_pipeline(_counter(), LogisticRegression(max_iter=1000))
    model = GridSearchCV(pipeline, {"logisticregression__C": np.logspace(-3, 2, 11)}, cv=5)
    labelled = [texts[i] for i in np.flatnonzero(known)]
    return model.fit(labelled, label[known]).predict(test)


def naive_bayes(texts: list[str], label: np.ndarray, test: list[str], steps: int = 0) -> np.ndarray:
    """Return the classes of test texts, by naive Bayes and so many steps of expectation maximisation."""
    known, counter = label >= 0, _counter()
    counts: Any = counter.fit_transform(texts)
    model = MultinomialNB(alpha=SMOOTHING).fit(counts[known], label[known])
    free, classes = counts[~known], model.classes_
    every = vstack([counts[known], *(free for _ in classes)])
    labels = np.concatenate([label[known], np.repeat(classes, free.shape[0])])
    for _ in range(steps):
        weights = np.concatenate([np.ones(known.sum()), UNLABELLED * model.predict_proba(free).T.ravel()])
        model.fit(every, labels, sample_weight=weights)
    return model.predict(counter.transform(test))


def _counter() -> CountVectorizer:
    return CountVectorizer(token_pattern=r"\S+", binary=True)


def without_network(method: str, data: jaxvae.data.Dataset) -> float:
    """Return the test accuracy of a classifier of the words that a sentence has."""
    words, label = np.asarray(data.vocabulary), np.asarray(data.train.label)
    texts, test = ([" ".join(words[row[row > 0]]) for row in split.x] for split in (data.train, data.test))
    return float(np.mean(WITHOUT_NETWORKS[method](texts, label, test) == data.test.label))


def trained(method: str, folder: str, test: jaxvae.data.Split, num: int, draw: int, epochs: int) -> float:
    """Train a config on the draw of labels; return its test accuracy."""
    settings = {**TEXT, **METHODS[method], "data.labels": num, "data.labels_seed": draw, "figures.draw": False}
    settings |= {"data.path": folder, "train.num_epochs": epochs, "train.eval_every_epochs": epochs}
    run = jaxvae.fit("ssvae_text", settings=settings, progress=False)
    return float(np.mean(np.argmax(run.classify(test.x)[1], axis=1) == test.label))


WITHOUT_NETWORKS = {
    "bag_of_words": bag_of_words, "naive_bayes": naive_bayes, "naive_bayes_em": partial(naive_bayes, steps=STEPS),
}  # fmt: skip

if __name__ == "__main__":
    main()
