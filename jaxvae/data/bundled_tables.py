"""Tables that come with scikit-learn, in their own units and with the names of their columns and classes."""

from typing import Any

from jaxvae.common.optional import require

TARGET = "target"  # the column of the labels


def load(name: str) -> Any:
    """Return the Arrow table of "wine" (178 rows), "diabetes" (442) or "breast_cancer" (569).

    The last column is the target: the name of the class, or, of "diabetes", the progression of the disease, a number.
    """
    datasets = require("sklearn.datasets")
    bunch = datasets.load_diabetes(scaled=False) if name == "diabetes" else getattr(datasets, f"load_{name}")()
    columns = {str(name): bunch.data[:, i] for i, name in enumerate(bunch.feature_names)}
    target = bunch.target_names[bunch.target].tolist() if "target_names" in bunch else bunch.target
    return require("pyarrow").table({**columns, TARGET: target})
