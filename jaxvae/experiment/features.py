"""Feature networks of perceptual losses: of a run of this project, or of a named architecture with weights in files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.files import read_json
from jaxvae.common.types import Array
from jaxvae.data.spec import DataSpec
from jaxvae.data.stored import spec_of
from jaxvae.experiment.parts import part
from jaxvae.experiment.plain import load_config
from jaxvae.models.classifier import NAME as CLASSIFIER
from jaxvae.models.coder import network_input
from jaxvae.models.features import Features, holds_heads, make_features, pretrained_features
from jaxvae.networks import functions

KIND = "feature network"
ENCODER = "encoder"


def with_features(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Complete the section `features` of a config, the layout of the network that `objective.features` names.

    So the run is whole by itself: its checkpoints hold the weights, and the run or the files are not needed again.

    Raises:
      UserError: an unknown option, or a run or files that cannot be used.
    """
    asked = config["objective"].get("features")
    if config.get("features") or not has_features(config):
        return config
    kinds = [kind for kind in SOURCES if isinstance(asked, Mapping) and asked.get(kind)]
    if len(kinds) != 1:
        raise UserError(
            f"objective.features is {asked!r}; it needs either objective.features.run=FOLDER, a run whose classifier "
            "or encoder gives the features, or objective.features.weights=FILE with objective.features.architecture."
        )
    options = {key: value for key, value in asked.items() if key not in SOURCES}
    describe = part(KIND, {"name": kinds[0], **options}, {"where": str(asked[kinds[0]])}, {KIND: SOURCES})
    return {**config, "features": describe()}


def has_features(config: Mapping[str, Any]) -> bool:
    """Return whether `objective.features` has any setting that is not empty."""
    asked = config["objective"].get("features")
    return any(asked.values()) if isinstance(asked, Mapping) else bool(asked)


def of_run(
    where: str, part: str = CLASSIFIER, layers: Sequence[int] = (), layer_weights: Sequence[float] = ()
) -> dict[str, Any]:
    """Describe the hidden layers of a network of a run.

    Args:
      where: its folder.
      part: "classifier", of an objective that learns to classify, or "encoder".
      layers: numbers of the layers, from 0; () for all.
      layer_weights: one for each of these layers; () for 1 each.

    Raises:
      UserError: there is no such run, it has no classifier, or its data is not pixels.
    """
    _check_numbers(layers=layers, layer_weights=layer_weights)  # used in `feature_network`
    if part not in (CLASSIFIER, ENCODER):
        raise unknown("part of a run with features", part, (CLASSIFIER, ENCODER))
    try:
        config, info = load_config(where), _info(Path(where))
    except UserError as error:
        raise UserError(
            f"objective.features.run cannot be used: {error} Train it before this one, with configs/classifier.py for "
            "example."
        ) from error
    spec, model = spec_of(info), config["model"]
    if part == CLASSIFIER and CLASSIFIER not in info["shapes"]["params"]:
        raise UserError(
            f"objective.features.run: the run in '{where}' has no classifier. Give a run of configs/classifier.py, or "
            "take the features of this run's encoder, objective.features.part=encoder."
        )
    if config["stage_of"] or not is_pixels(spec) or (part == ENCODER and spec.context_dim):
        what = "a second stage" if config["stage_of"] else "conditional" if is_pixels(spec) else "not of pixels"
        raise UserError(f"objective.features.run: the run in '{where}' is {what}: take a plain model of the data.")
    return {
        "part": part,
        "network": (config["classifier"] if part == CLASSIFIER else {}) or config["network"],
        "likelihood": model["likelihood"],
        "outputs": len(spec.classes) if part == CLASSIFIER else _num_outputs(model),
        "shape": list(spec.shape),
        "levels": spec.levels,
        "pixel_range": list(spec.pixel_range(config)),
        "mask_input": spec.has_missing,
    }


def of_weights(
    where: str, architecture: str = "vgg16", layers: Sequence[int] = (), layer_weights: Sequence[float] = ()
) -> dict[str, Any]:
    """Describe a network of ImageNet.

    Args:
      where: an `.npz` or `.safetensors`, or two with a comma, the second with the heads of LPIPS.
      architecture: "vgg16" or "alexnet".
      layers: numbers of the layers, from 0 to 4; () for all.
      layer_weights: one for each of these layers; () for 1 each.

    Raises:
      UserError: a file cannot be read.
    """
    _check_numbers(layers=layers, layer_weights=layer_weights)  # used in `feature_network`
    return {"architecture": architecture, "heads": holds_heads(where)}


SOURCES = {"run": of_run, "weights": of_weights}


def feature_network(config: Mapping[str, Any], data: DataSpec) -> Features:
    """Build the feature network of a completed config, for examples of `data`.

    Raises:
      UserError: there is none, or it cannot read the data.
    """
    section, name = config.get("features"), config["objective"]["name"]
    if not section:
        raise UserError(
            f"The objective '{name}' compares features of a fixed network: name it by objective.features.run=FOLDER, a "
            "run of configs/classifier.py for example, or by objective.features.weights=FILE."
        )
    if not is_pixels(data):
        raise UserError(f"The objective '{name}' compares features of pixels, but the data is of another kind.")
    asked, pixel_range = config["objective"]["features"], data.pixel_range(config)
    chosen = tuple(asked.get("layers", ())), tuple(asked.get("layer_weights", ()))
    if "architecture" in section:
        low, high = pixel_range
        return pretrained_features(section["architecture"], data.shape, (low, high), *chosen, section["heads"])
    shape = tuple(section["shape"])
    if shape != data.shape:
        raise UserError(
            f"The feature network of objective.features.run reads examples of the shape {list(shape)}, but those of "
            f"the data have {list(data.shape)}. Train the features on data of this shape."
        )
    return features_of_run(section, pixel_range, *chosen)


def features_of_run(
    section: Mapping[str, Any],
    pixel_range: tuple[float, ...],
    layers: Sequence[int] = (),
    layer_weights: Sequence[float] = (),
) -> Features:
    """Build features from the hidden layers of a run's network, which `of_run` describes, for x in `pixel_range`."""
    shape = tuple(section["shape"])
    given = {"data_shape": shape, "levels": section["levels"], "pixel_range": tuple(section["pixel_range"])}
    likelihood = part("likelihood", section["likelihood"], {**given, "latent_dim": 1, "total": ()})()
    network = part("network", section["network"], given)()
    (low, high), (their_low, their_high) = pixel_range, given["pixel_range"]
    masked = section["mask_input"]

    def read(x: Array) -> Array:
        scaled = their_low + (x - low) * ((their_high - their_low) / (high - low))
        return network_input(likelihood, scaled, None, masked)

    made = functions(network.encoder(likelihood.input_shape(shape, masked), section["outputs"]))
    return make_features(made, shape, read, layers, layer_weights, network.loops)


def _check_numbers(**options: Any) -> None:
    """Raise UserError for an option that is not a list of numbers."""
    for name, value in options.items():
        if not isinstance(value, (tuple, list)) or not all(type(each) in (int, float) for each in value):
            raise UserError(
                f"objective.features.{name} is {value!r}; it must be a list of numbers: (0, 1), for example."
            )


def is_pixels(data: DataSpec) -> bool:
    """Return whether examples are pixels, not real values, sequences or columns."""
    return not (data.is_real or data.sequence or data.table)


def _num_outputs(model: Mapping[str, Any]) -> int:
    return part("posterior", model["posterior"], {"latent_dim": model["latent_dim"]})().num_outputs


def _info(folder: Path) -> dict[str, Any]:
    """Read the JSON of the newest checkpoint of a run that can be read."""
    found = sorted((path for path in folder.glob("checkpoints/*") if path.name.isdigit()), key=lambda p: -int(p.name))
    for path in found:
        try:
            return read_json(path / "info" / "metadata")
        except (OSError, ValueError):
            continue
    raise UserError(f"There is no sound checkpoint in '{folder}'.")
