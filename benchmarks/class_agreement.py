"""Judge the samples of conditional runs: how often a classifier sees the class that was asked for.

python benchmarks/class_agreement.py runs/cvae-mnist [runs/cvae-mnist-1 ...] [--temperature=0.8] [--sampler=gmm]

The classifier is scikit-learn's MLPClassifier, one hidden layer of 400, fitted to the training data of the first run.
Prints its accuracy on the test data, and for each run the share of 1,000 samples per class that it sees as their class.
"""

import argparse
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

import jaxvae
from jaxvae.experiment import sources

PER_CLASS = 1000


def main() -> None:
    """Print the classifier's accuracy, and the agreement of each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--sampler", default="prior")
    asked_for = parser.parse_args()
    runs = list(map(jaxvae.load, asked_for.folders))
    data = sources.load(runs[0].config["data"])
    scale = np.float32(data.max_value)
    rows = lambda x: np.asarray(x, np.float32).reshape(len(x), -1)  # noqa: E731
    options: Any = {"batch_size": 200, "early_stopping": True, "max_iter": 20, "random_state": 0}
    network = MLPClassifier((400,), **options)
    network.fit(rows(data.train.x) / scale, data.train.label)
    print(f"accuracy on test data: {network.score(rows(data.test.x) / scale, data.test.label):.4f}")
    for folder, run in zip(asked_for.folders, runs, strict=True):
        classes = list(run.spec.context[0].values)
        asked = np.repeat(classes, PER_CLASS)
        how: Any = {"temperature": asked_for.temperature, "sampler": asked_for.sampler}
        drawn = rows(run.sample(PER_CLASS, seed=0, context=classes, **how))
        seen = network.predict(drawn / np.float32(run.spec.greatest))
        by_class = [float(np.mean(seen[asked == one] == one)) for one in classes]
        print(f"{folder}: {np.mean(seen == asked):.4f}; by class {', '.join(f'{share:.3f}' for share in by_class)}")


if __name__ == "__main__":
    main()
