"""Second stages: a run that models the codes of another run, its first stage. Imports no JAX."""

from collections.abc import Mapping
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.experiment.plain import flatten, load_config

# What decides x and its split; a first stage must share it.
SAME = (
    "data.name", "data.path", "data.kind", "data.columns", "data.options", "data.image_size",
    "data.validation_fraction", "data.binarization", "data.scaling", "data.missing", "data.missing_seed",
    "data.pixel_range", "data.sequence",
)  # fmt: skip
KEPT = ("model", "network")  # sections of the first stage that its model is built from


def with_stage(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Complete the section `stage` of a config with those of the run `stage_of`, so that the run is whole by itself.

    Raises:
      UserError: there is no such run, it is conditional or a second stage itself, or it is of other data.
    """
    folder = config.get("stage_of", "")
    if not folder or config.get("stage"):
        return config
    try:
        first = load_config(folder)
    except UserError as error:
        raise UserError(f"stage_of cannot be used: {error} Train the first stage before this one.") from error
    if first["stage_of"] or first["data"]["context"]:
        what = f"a second stage itself, of '{first['stage_of']}'" if first["stage_of"] else "conditional on a context"
        raise UserError(f"stage_of: the run in '{folder}' is {what}: take a plain model of the data.")
    there, here = flatten({"data": first["data"]}), flatten({"data": config["data"]})
    for key in sorted(there.keys() | here.keys()):
        if any(f"{key}.".startswith(f"{name}.") for name in SAME) and _plain(there.get(key)) != _plain(here.get(key)):
            raise UserError(
                f"stage_of: the run in '{folder}' has {key}={there.get(key)!r}, this one {here.get(key)!r}: a second "
                "stage needs the data of the first, prepared in the same way. Give the same setting."
            )
    return {**config, "stage": {name: first[name] for name in KEPT}}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value  # JSON has no tuples
