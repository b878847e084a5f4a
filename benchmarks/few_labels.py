"""The ladder of few labels: a classifier alone, self-training, M1, M2 and M1+M2, over several draws of the labels.

python benchmarks/few_labels.py                                   # the bundled digits, 100 labels, 5 draws
python benchmarks/few_labels.py --data=mnist --labels=1000 --methods=m1,m1_m2

Prints the test accuracy of each draw, then mean and standard deviation. The first stage of M1+M2 is that of M1, trained
once; it sees no labels.
"""

import argparse
import tempfile

import numpy as np

import jaxvae

# Config, its changes, and the classifiers of codes that judge it ("" for the run's own).
METHODS = {
    "supervised": ("classifier", {"train.labelled_share": 0.5}, ("",)),
    "self_training": ("classifier", {"train.labelled_share": 0.5, "objective.self_training": 0.95}, ("",)),
    "m1": ("m1", {}, ("linear", "svm", "network")),
    "m2": ("m2", {}, ("",)),
    "m1_m2": ("m1_m2", {}, ("",)),
}


def main() -> None:
    """Print a line for each method and draw, then a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--methods", default=",".join(METHODS))
    asked = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for draw in range(asked.draws):
            for method in asked.methods.split(","):
                config, settings, classifiers = METHODS[method]
                settings = {**settings, "data.labels": asked.labels, "data.labels_seed": draw}
                settings |= {"figures.draw": False, "evaluate.checkpoint": "last"}
                if method == "m1_m2":
                    settings["stage_of"] = first_stage(f"{folder}/m1", asked.data)
                run = jaxvae.fit(config, asked.data, settings, progress=False)
                for classifier in classifiers:
                    how = {"classifier": classifier} if classifier else {}
                    scores = run.evaluate("classification", nll_samples=1, **how)["metrics"]["classification"]
                    found.setdefault(f"{method} {classifier}".strip(), []).append(scores["accuracy"])
                    print(f"draw {draw}  {method:<14}{classifier:<8}{scores['accuracy']:.4f}", flush=True)
    for name, values in found.items():
        print(f"{name:<22}{np.mean(values):.4f} ± {np.std(values, ddof=min(1, len(values) - 1)):.4f}")


def first_stage(folder: str, data: str) -> str:
    """Train M1 without labels in a folder, or take the run that is there."""
    jaxvae.fit("m1", data, {"data.labels": 0, "figures.draw": False}, workdir=folder, progress=False)
    return folder


if __name__ == "__main__":
    main()
