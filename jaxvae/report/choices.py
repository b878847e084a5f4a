"""Contexts at which the page shows a conditional decoder: classes to choose from, the rest as in a test example."""

import itertools
from typing import Any, NamedTuple

import numpy as np

from jaxvae.data.context import Field, parts
from jaxvae.data.wanted import said
from jaxvae.runs.trained_run import TrainedRun

NO_CONTEXT = np.zeros(0, np.float32)


class Choice(NamedTuple):
    """Contexts of the explorer.

    Attributes:
      shown: `[C]`, the context that is shown first, that of the first test example; C = 0 without a context.
      fields: what the context is made of.
      chosen: the positions in `fields` of classes that the page lets one choose.
    """

    shown: np.ndarray = NO_CONTEXT
    fields: tuple[Field, ...] = ()
    chosen: tuple[int, ...] = ()

    @property
    def is_chosen(self) -> np.ndarray:
        """Return which of the C numbers are those of classes to choose from, bool `[C]`."""
        sizes = [(i in self.chosen, field.size) for i, field in enumerate(self.fields)]
        return np.repeat([chosen for chosen, _ in sizes], [size for _, size in sizes]).astype(bool)

    def contexts(self) -> np.ndarray:
        """Return all contexts to choose from, `[M, C]`: the classes of the last field change first."""
        chosen = [np.eye(self.fields[i].size, dtype=np.float32) for i in self.chosen]
        rows = np.tile(self.shown, (int(np.prod([len(each) for each in chosen])), 1))
        if chosen:
            rows[:, self.is_chosen] = [np.concatenate(each) for each in itertools.product(*chosen)]
        return rows

    def as_json(self) -> list[dict[str, Any]]:
        """Return the names and classes of the fields to choose from, and the class that is shown first."""
        rows = parts(self.fields, self.shown[None])
        return [
            {"name": self.fields[i].name, "classes": list(self.fields[i].classes), "chosen": int(rows[i].argmax())}
            for i in self.chosen
        ]

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
    chosen = tuple(i for i, field in enumerate(fields) if enters and field.kind == "class")
    return Choice(context[0], fields, chosen)
