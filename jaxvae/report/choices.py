"""Contexts at which the page shows a conditional decoder: those to choose from, the rest as in a test example."""

import itertools
from typing import Any, NamedTuple

import numpy as np

from jaxvae.data.context import Field, parts
from jaxvae.data.wanted import said
from jaxvae.runs.trained_run import TrainedRun

NO_CONTEXT = np.zeros(0, np.float32)
MOST_NUMBERS = 8  # of an array that has a slider for each


class Choice(NamedTuple):
    """Contexts of the explorer.

    Attributes:
      shown: `[C]`, the context that is shown first, that of the first test example; C = 0 without a context.
      fields: what the context is made of.
      chosen: the positions in `fields` of classes and numbers that the page lets one choose.
      extent: `[2, C]`, the least and the greatest values of the training data.
    """

    shown: np.ndarray = NO_CONTEXT
    fields: tuple[Field, ...] = ()
    chosen: tuple[int, ...] = ()
    extent: np.ndarray = np.zeros((2, 0), np.float32)

    @property
    def is_chosen(self) -> np.ndarray:
        """Return which of the C numbers are those of fields to choose from, bool `[C]`."""
        sizes = [(i in self.chosen, field.size) for i, field in enumerate(self.fields)]
        return np.repeat([chosen for chosen, _ in sizes], [size for _, size in sizes]).astype(bool)

    def of_classes(self) -> "Choice":
        """Return the choice of classes alone, with numbers as they are shown first."""
        return self._replace(chosen=tuple(i for i in self.chosen if self.fields[i].kind == "class"))

    def contexts(self) -> np.ndarray:
        """Return the contexts of all classes to choose from, `[M, C]`: those of the last field change first."""
        classes = self.of_classes()
        each = [np.eye(self.fields[i].size, dtype=np.float32) for i in classes.chosen]
        rows = np.tile(self.shown, (int(np.prod([len(one) for one in each])), 1))
        if each:
            rows[:, classes.is_chosen] = [np.concatenate(one) for one in itertools.product(*each)]
        return rows

    def drawn(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """Draw contexts to choose from, `[num, C]`: classes, and numbers within their extent."""
        rows, classes = self.contexts(), self.of_classes().is_chosen
        rows, numbers = rows[rng.integers(len(rows), size=num)], self.is_chosen & ~classes
        low, high = self.extent[:, numbers]
        rows[:, numbers] = rng.uniform(low, high, (num, len(low)))
        return rows

    def as_json(self) -> list[dict[str, Any]]:
        """Return what there is to choose from, in the order of the context.

        A class is `{"name", "classes", "chosen"}`, the last the one that is shown first. A number is
        `{"name", "low", "high", "chosen", "shift", "scale", "is_log"}`: "chosen" is encoded, as are the bounds of the
        training data; in the user's units it is chosen * scale + shift, or the exponential of that.
        """
        rows = parts(self.fields, np.concatenate([self.shown[None], self.extent]))
        return [each for i in self.chosen for each in _control(self.fields[i], rows[i])]

    def held(self) -> str:
        """Describe the part of the context that cannot be chosen; "" where there is none."""
        kept = ~self.is_chosen
        fields = [field for i, field in enumerate(self.fields) if i not in self.chosen]
        return said(fields, self.shown[kept]) if fields else ""


def choice(run: TrainedRun) -> Choice:
    """Return the contexts at which a run is shown."""
    context, fields = run.context("test", 1), run.experiment.spec.context
    if context is None:
        return Choice()
    enters = run.config.get("context", {}).get("decoder", True)  # else all contexts give the same pictures
    chosen = tuple(i for i, field in enumerate(fields) if enters and _can_be_chosen(field))
    train = run.context("train")
    return Choice(context[0], fields, chosen, np.stack([train.min(axis=0), train.max(axis=0)]))


def _can_be_chosen(field: Field) -> bool:
    return field.kind != "pixels" and (field.kind == "class" or field.size <= MOST_NUMBERS)


def _control(field: Field, rows: np.ndarray) -> list[dict[str, Any]]:
    """Return the JSON of a field, for its encodings `[3, size]`: shown first, least and greatest."""
    if field.kind == "class":
        return [{"name": field.name, "classes": list(field.classes), "chosen": int(rows[0].argmax())}]
    names = [field.name] if field.size == 1 else [f"{field.name}[{k}]" for k in range(field.size)]
    units = {"shift": field.shift, "scale": field.scale, "is_log": field.kind == "total"}
    return [
        {"name": name, "chosen": first, "low": low, "high": high, **units}
        for name, (first, low, high) in zip(names, rows.T.tolist(), strict=True)
    ]
