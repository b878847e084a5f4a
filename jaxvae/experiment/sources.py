"""Load the data of a config: built in, from files, or from the user's own function."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.kinds import check_kind, load_data
from jaxvae.data.load import Dataset, from_arrays, prepare
from jaxvae.data.resize import resize
from jaxvae.data.split import Split
from jaxvae.data.stream import Rows
from jaxvae.experiment import own
from jaxvae.experiment.parts import part

RETURNS = {"jaxvae.data.Dataset": Dataset, "dict[str, numpy.ndarray]": dict[str, np.ndarray]}


def load(settings: Mapping[str, Any]) -> Dataset:
    """Load the data set of a config's section `data`.

    A function, `data.name=module:function`, returns a `Dataset`, or a dictionary of arrays, named as in an `.npz` file.
    Resizing, binarisation and missing splits are added here.

    Raises:
      UserError: the data is missing or unusable, or a setting does not fit.
    """
    name = settings["name"]
    if settings["path"] or not own.is_own(name):
        return load_data(settings)
    check_kind(settings)
    build = builder(settings)
    takes = inspect.signature(build).parameters
    if settings["stream"] and "stream" not in takes:
        raise UserError(f"data.stream is True, but '{name}' has no argument `stream`: set data.stream to False.")
    image_size = 0 if "image_size" in takes else settings["image_size"]
    found, how = build(), (image_size, settings["validation_fraction"], settings["binarization"])
    label = "" if "label" in takes else settings.get("label", "")
    if isinstance(found, dict):
        made = from_arrays(own.short(name), found, *how, label, settings.get("context", ""))
    elif label:
        raise UserError(
            f"data.label is '{label}', but '{name}' returns a Dataset, which has its labels already. Leave it empty."
        )
    else:
        made = _checked(own.short(name), found, *how)
    if (made.sequence or "images") != settings["kind"]:
        raise UserError(
            f"data.kind is '{settings['kind']}', but '{name}' returned {made.sequence or 'images (or other arrays)'}: "
            f"set data.kind to '{made.sequence or 'images'}'."
        )
    return made


def builder(settings: Mapping[str, Any]) -> Callable:
    """Return the function `data.name`, with `data.options` bound, and the settings in its signature.

    Raises:
      UserError: see `parts.part`.
    """
    given = {key: value for key, value in settings.items() if key not in ("name", "options")}
    return part("data", {"name": settings["name"], **settings.get("options", {})}, given, {"data": {}}, RETURNS)


def _checked(name: str, found: Dataset, image_size: int, validation_fraction: float, binarization: str) -> Dataset:
    """Check and prepare the data set of a user's function, like any other."""

    def array(x: Any) -> Any:
        return x if isinstance(x, Rows) else resize(np.asarray(x), image_size)

    given = {"train": found.train, "validation": found.validation, "test": found.test}
    splits = {key: Split(array(split.x), *split[1:]) for key, split in given.items() if len(split.x)}
    fraction = validation_fraction if "validation" in splits else 0.0  # the function may want no validation
    what = found.factor_names, bool(found.sequence), found.columns
    made = prepare(name, splits, found.max_value, fraction, binarization, *what)
    greatest = max((float(s.x.max()) for s in splits.values() if not isinstance(s.x, Rows)), default=0.0)
    if greatest > found.max_value:
        raise UserError(f"The data '{name}' has max_value={found.max_value}, but its greatest value is {greatest}.")
    return made._replace(
        sequence=found.sequence, vocabulary=found.vocabulary, notes=(*found.notes, *made.notes),
        class_names=found.class_names, table=found.table,
    )  # fmt: skip
