"""Tool that gives each example its class."""

import numpy as np

from jaxvae.common.ranges import check, within
from jaxvae.data.split import UNLABELLED
from jaxvae.runs.classes import class_probs
from jaxvae.runs.trained_run import TrainedRun, some_rows
from jaxvae.tools.base import Labels, Outcome


def classify(run: TrainedRun, num: int = 8) -> Outcome:
    """Classify the test examples, or those of `evaluate.data`, by the run's classifier: see `runs.classes.class_probs`.

    `arrays` holds "probs" `[N, C]`, "classes" `[C]` and "predicted" `[N]`; the table has a row for each example: its
    name, its label, if known, the predicted class and the probability of each class. The sheet has a row for each class
    that is predicted, of at most `num` examples.

    Args:
      run: a trained run and its data.
      num: examples in a row of the sheet.

    Raises:
      UserError: see `class_probs`.
    """
    check("tool", "classify", num=(num, within(1)))
    classes, probs = class_probs(run)
    predicted = classes[probs.argmax(axis=1)]
    split = run.split("test")
    names = [run.class_name(int(one)) for one in classes]
    said = dict(zip(classes.tolist(), names, strict=True))
    table = {} if split.names is None else {"name": split.names}
    numbers = {}
    if split.label is not None and (known := split.label != UNLABELLED).any():
        table["label"] = np.array([said.get(int(one), "") for one in split.label])
        numbers["accuracy"] = float(np.mean(predicted[known] == split.label[known]))
    table |= {"predicted": np.array([said[int(one)] for one in predicted])}
    table |= {f"p({name})": probs[:, i] for i, name in enumerate(names)}
    sheet, there = _sheet(run, [np.flatnonzero(predicted == one) for one in classes], num)
    labels = Labels(tuple(name for name, is_there in zip(names, there, strict=True) if is_there))
    arrays = {"probs": probs, "classes": classes, "predicted": predicted}
    return Outcome(arrays, sheet, "test examples by predicted class", numbers, labels, table)


def _sheet(run: TrainedRun, rows: list[np.ndarray], num: int) -> tuple[np.ndarray, list[bool]]:
    """Return a random choice of examples of each class as `viewed`, `[classes, num, ...]`, and which classes have any.

    A class with fewer examples repeats its last one.
    """
    num = min(num, max(map(len, rows)))
    chosen = [which[some_rows(len(which), num)] for which in rows if len(which)]
    index = np.stack([np.pad(which, (0, num - len(which)), mode="edge") for which in chosen])
    shown = run.examples(run.batch("test", index.ravel()))
    return shown.reshape(*index.shape, *shown.shape[1:]), [bool(len(which)) for which in rows]
