"""Judge a run on other data, `evaluate.data`: prepared as the run's own, in the place of its test set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae import data
from jaxvae.common.errors import UserError
from jaxvae.data.incoming import as_stored
from jaxvae.data.spec import preprocess_of
from jaxvae.data.split import Dataset, Split
from jaxvae.experiment import build, own, sources
from jaxvae.experiment.setup import Experiment
from jaxvae.models.context import given
from jaxvae.runs.restore import Restored


def load_other(config: Mapping[str, Any], restored: Restored) -> Dataset:
    """Load the data of `evaluate.data`; its split "test" holds the examples to judge.

    These are its test set, where the source has one, and else all its rows, in their order.

    Raises:
      UserError: the data does not exist, or differs in form from the data that the run was trained on.
    """
    name, settings, spec = config["evaluate"]["data"], config["data"], restored.spec
    path = Path(name).expanduser()
    label = settings["label"] if path.exists() else ""
    where = {"path": str(path), "name": path.stem} if path.exists() else {"path": "", "name": name, "options": {}}
    asked = {**settings, **where, "stream": False, "label": label, "binarization": "none"}
    try:
        other = _judged(_in_order(sources.load(asked), spec.columns))
        words = other.vocabulary
        for fact, there, here in (
            ("kind of sequence", other.sequence or "none", spec.sequence or "none"),
            ("length of the context", other.context_dim, spec.context_dim),
            ("vocabulary", f"{len(words)} words", f"{len(words)} words" if words == spec.vocabulary else "another"),
        ):
            if there != here:
                raise UserError(
                    f"its {fact} is {there}; of the data that the run was trained on it is {here}. Give data of the "
                    "same form."
                )
        return other._replace(test=other.test._replace(x=as_stored(spec, settings, other.test.x)))
    except UserError as error:
        raise UserError(f"evaluate.data is '{name}', which cannot be used: {error}") from error


def _in_order(other: Dataset, columns: Sequence[str]) -> Dataset:
    """Select the columns that the run was trained on, in their order, where both have names."""
    if not columns or not other.columns or other.columns == tuple(columns):
        return other
    if missing := [name for name in columns if name not in other.columns]:
        raise UserError(
            f"it lacks {len(missing)} of the {len(columns)} columns that the run was trained on: "
            f"{', '.join(missing[:10])}."
        )
    which = [other.columns.index(name) for name in columns]

    def selected(split: Split) -> Split:
        mask = None if split.mask is None else split.mask[:, which]
        return split._replace(x=split.x[:, which], mask=mask)

    splits = {name: selected(getattr(other, name)) for name in ("train", "validation", "test")}
    return other._replace(columns=tuple(columns), **splits)


def _judged(other: Dataset) -> Dataset:
    """Put all rows of a source into "test", unless it has a test set."""
    if other.rows["test"][0] == "test":
        return other
    parts = [getattr(other, name) for name in other.rows]
    sources_of, rows = zip(*((np.full(len(rows), source), rows) for source, rows in other.rows.values()), strict=True)
    order = np.lexsort((np.concatenate(rows), np.concatenate(sources_of)))
    arrays = (None if field[0] is None else np.concatenate(field)[order] for field in zip(*parts, strict=True))
    test = Split(*arrays)
    return other._replace(test=test, rows={**other.rows, "test": ("train", np.arange(len(test.x)))})


def folder_name(config: Mapping[str, Any], other: Dataset) -> str:
    """Return a folder for the results on other data: "digits-1a2b3c4d", its name and a checksum of the examples."""
    name = config["evaluate"]["data"]
    label = Path(name).stem if Path(name).expanduser().exists() else own.short(name)
    return f"{label}-{data.checksum(other.test, other.vocabulary):08x}"


def judged_on(experiment: Experiment, other: Dataset) -> Experiment:
    """Return a run's experiment with other data as its test set; its training set stays."""
    own_data = experiment.dataset
    names = (*own_data.class_names, *(name for name in other.class_names if name not in own_data.class_names))
    label = other.test.label
    if bool(own_data.class_names) != bool(other.class_names):
        label = None  # numbers on one side and names on the other
    elif label is not None and names:
        label = np.asarray([names.index(name) for name in other.class_names], np.int32)[label]
    dataset = own_data._replace(
        test=other.test._replace(label=label), class_names=names, rows={**own_data.rows, "test": other.rows["test"]}
    )
    return experiment._replace(dataset=dataset, shown=_shown(experiment.model, other))


def without_own(config: Mapping[str, Any], restored: Restored, other: Dataset) -> Experiment:
    """Return an experiment to encode and reconstruct other data, without the data that the run was trained on."""
    model, spec = restored.model, restored.spec
    return Experiment(
        config, other, model, _shown(model, other), build.objective(config, model, spec, total_steps=1),
        preprocess_of(config, spec), 1, spec,
        data.checksum(other.test, other.vocabulary),
    )  # fmt: skip


def _shown(model: Any, other: Dataset) -> Any:
    return model if other.test.context is None else given(model, other.test.context[0])
