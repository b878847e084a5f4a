"""Judge a run on other data, `evaluate.data`: prepared like the run's own, instead of its test set."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae import data
from jaxvae.common.errors import UserError
from jaxvae.common.places import IN_MEMORY
from jaxvae.data import checks, files
from jaxvae.data.columns import like_table
from jaxvae.data.context import of_split, own_names
from jaxvae.data.in_memory import found_in
from jaxvae.data.incoming import frames
from jaxvae.data.kinds import open_table, read_text
from jaxvae.data.labels import encode_labels
from jaxvae.data.missing import without_nan
from jaxvae.data.spec import FIXED, DataSpec
from jaxvae.data.split import UNLABELLED, Dataset, Found, Split
from jaxvae.experiment import build, own, sources
from jaxvae.experiment.setup import Experiment
from jaxvae.runs.restore import Restored


def load_other(config: Mapping[str, Any], spec: DataSpec, given: Any = None) -> Dataset:
    """Load the data of `evaluate.data`; its split "test" holds the examples to judge, the others are empty.

    These are the test set of the source, where it has one, and else all its rows, in their order.

    Args:
      config: the settings of the run.
      spec: how its data was prepared.
      given: data in memory instead of that of `evaluate.data`, as the training data came.

    Raises:
      UserError: the data does not exist, or does not fit the data that the run was trained on.
    """
    settings, in_memory = config["data"], given is not None
    name = IN_MEMORY if in_memory else config["evaluate"]["data"]
    try:
        found = _taken(given, settings, spec) if in_memory else _read(name, settings, spec)
        split = _ordered(_judged(found.splits), found.columns, spec.columns)
        labels, classes = labels_like(split.label, found.class_names, spec.class_names)
        split = without_nan(split)
        x = split.x if split.mask is None else np.where(split.mask, split.x, split.x.dtype.type(0))
        x = data.as_stored(spec, {**settings, "image_size": 0}, x)  # resized already
        split = split._replace(x=x, label=labels)
        checks.check("test", split, x, -1 if spec.sequence else 0, spec.columns)
        if not spec.context and split.context is not None:
            raise UserError(f"It has a context of {split.context.shape[1]} values; the run was trained without one.")
        greatest = 1.0 if settings["binarization"] in FIXED else spec.max_value
        if split.label is None and spec.has_unknown_classes:
            split = split._replace(label=np.full(len(x), UNLABELLED))  # a run that learned from unlabelled examples too
        whole = Dataset(name, split, split, split, greatest, found.factor_names, spec.sequence)
        split = of_split(spec.context, split, whole)
    except UserError as error:
        what = "The data to evaluate" if in_memory else f"evaluate.data is '{name}', which"
        raise UserError(f"{what} cannot be used: {error}") from error
    none: list[Any] = [None if array is None else array[:0] for array in split]
    empty = Split(*none)
    label = own.short(name) if own.is_own(name) else Path(name).stem
    return Dataset(
        label, empty, empty, split, spec.max_value, found.factor_names, spec.sequence, spec.vocabulary, found.notes,
        classes, spec.columns,
    )  # fmt: skip


def _read(name: str, settings: Mapping[str, Any], spec: DataSpec) -> Found:
    """Read the splits of a file, a folder or a named set as they came, before `data.binarization`."""
    path = Path(name).expanduser()
    if path.exists() and settings["kind"] == "images":
        how: dict[str, Any] = {key: settings[key] for key in ("image_size", "cache_dir")}
        how["context"] = own_names(settings["context"])
        return _with_or_without_labels(lambda label: files.read(path, **how, label=label), settings)
    if spec.table:
        table, source, notes = open_table({**settings, "path": str(path) if path.exists() else "", "name": name})
        split = like_table(spec.table, table, source, settings["label"], settings["context"], spec.class_names)
        return Found({"test": split}, class_names=spec.class_names, notes=notes)
    if spec.sequence == "text" and path.exists():
        return _with_or_without_labels(lambda label: _sentences(path, {**settings, "label": label}, spec), settings)
    where = {"path": str(path), "name": path.stem} if path.exists() else {"path": "", "name": name, "options": {}}
    as_it_came = {"binarization": "none"} if settings["binarization"] in FIXED else {}
    other = sources.load({**settings, **where, **as_it_came, "stream": False})
    if other.vocabulary != spec.vocabulary:
        raise UserError(f"Its vocabulary, of {len(other.vocabulary)} words, is not that of the run.")
    return Found({"test": other.test}, other.factor_names, other.class_names, other.columns, other.notes)


def _sentences(path: Path, settings: Mapping[str, Any], spec: DataSpec) -> Found:
    """Read text and encode it by the vocabulary of the run: its test set, or all its sentences."""
    lines, labels = read_text(path, settings["label"])
    which = "test" if "test" in lines else "train"
    kept = [i for i, line in enumerate(lines[which]) if line.strip()]
    x = data.as_stored(spec, settings, [lines[which][i] for i in kept])
    label = np.asarray(labels[which])[kept] if labels else None
    splits, names = encode_labels({"test": Split(x, label)}, str(path))
    return Found(splits, class_names=names)


def _taken(x: Any, settings: Mapping[str, Any], spec: DataSpec) -> Found:
    """Take the splits of data in memory as they came."""
    if isinstance(x, Dataset):
        return Found({"test": x.test}, x.factor_names, x.class_names, x.columns)
    if spec.sequence:
        return Found({"test": Split(data.as_stored(spec, settings, x))})
    if spec.table:
        splits, how = frames(x), (settings["label"], settings["context"], spec.class_names)
        split = like_table(spec.table, splits.get("test", splits["train"]), IN_MEMORY, *how)
        return Found({"test": split}, class_names=spec.class_names)
    return _with_or_without_labels(lambda label: found_in(x, {**settings, "label": label}, IN_MEMORY), settings)


def _with_or_without_labels(read: Callable[[str], Found], settings: Mapping[str, Any]) -> Found:
    """Call `read(label)` with `data.label`, and without where the data lacks it: new data may have no labels."""
    try:
        return read(settings["label"])
    except UserError:
        if not settings["label"]:
            raise
        return read("")


def _judged(splits: Mapping[str, Split]) -> Split:
    """Return the test set, or all rows."""
    if "test" in splits:
        return splits["test"]
    fields = zip(*splits.values(), strict=True)
    joined: list[Any] = [None if any(one is None for one in field) else np.concatenate(field) for field in fields]
    return Split(*joined)


def _ordered(split: Split, columns: Sequence[str], wanted: Sequence[str]) -> Split:
    """Put the columns of a table into the order of the run's; unchanged where either has no names."""
    if not columns or not wanted:
        return split
    if missing := [name for name in wanted if name not in columns]:
        raise UserError(
            f"It lacks {len(missing)} of the {len(wanted)} columns that the run was trained on: "
            f"{', '.join(missing[:10])}."
        )
    which = [list(columns).index(name) for name in wanted]
    return split._replace(x=split.x[:, which], mask=None if split.mask is None else split.mask[:, which])


def labels_like(label: Any, names: Sequence[str], known: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    """Number the classes as the run does, new ones after them; return the labels and all names.

    Labels without names that can be numbers of the run's classes are these.
    """
    if label is None or not names:
        are_known = label is not None and label.size and label.min() >= 0 and label.max() < len(known)
        return label, tuple(known) if are_known else ()
    every = [*known, *(name for name in names if name not in known)]
    numbers = np.asarray([*(every.index(name) for name in names), UNLABELLED], np.int32)  # the last one for -1
    return numbers[label], tuple(every)


def folder_name(other: Dataset) -> str:
    """Return a folder for the results on other data: "digits-1a2b3c4d", its name and a checksum of the examples."""
    return f"{other.name}-{data.checksum(other.test, other.vocabulary):08x}"


def judged_on(experiment: Experiment, other: Dataset) -> Experiment:
    """Return a run's experiment with other data as its test set; its training set stays."""
    mine = experiment.dataset
    test, names = other.test, other.class_names or mine.class_names
    if bool(mine.class_names) != bool(other.class_names):
        test = test._replace(label=None)  # classes with names here and numbers there cannot be compared
    if other.factor_names != mine.factor_names:
        test = test._replace(factors=None)
    rows = {name: place for name, place in mine.rows.items() if name != "test"}
    dataset = mine._replace(test=test, rows=rows, class_names=names)
    return experiment._replace(dataset=dataset)


def without_own(config: Mapping[str, Any], restored: Restored, other: Dataset) -> Experiment:
    """Return an experiment to encode and reconstruct other data, without the data that the run was trained on."""
    model, spec = restored.model, restored.spec
    objective = build.objective(config, model, spec, total_steps=1)
    preprocess = data.preprocess_of(config, spec)
    checksum = data.checksum(other.test, other.vocabulary)
    return Experiment(config, other, model, objective, preprocess, 1, spec, checksum)
