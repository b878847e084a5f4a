"""Find and read TFDS image data sets without TensorFlow."""

import hashlib
import json
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.places import find_prepared
from jaxvae.data.cache import cache_folder, decoded
from jaxvae.data.split import Found
from jaxvae.data.stream import Source, UnreadableItemsError

SPLITS = ("train", "validation", "test")
FACTOR = "label_"  # prefix of the names of factors
ATTRIBUTES = "attributes"  # a dictionary of booleans, which are factors too


def read(name: str, data_dir: str = "", cache_dir: str = "", image_size: int = 0, stream: bool = False) -> Found:
    """Read the splits of a prepared TFDS data set, from the cache if decoded before, with its factors and classes.

    With `stream`, the cache holds no images: they are read from the prepared files whenever they are needed.

    Raises:
      UserError: the data set is not prepared on this machine, or not in a random-access format.
    """
    folder = find_prepared(name, data_dir)
    root = Path(cache_dir or cache_folder()).expanduser() / "data"
    form = (f"-{image_size}px" if image_size else "") + ("-labels" if stream else "")
    cached = root / f"{name.replace('/', '_')}-{folder.name}{form}-{_fingerprint(folder)}"
    try:
        factors = _factors(folder)
        names = tuple(key.removeprefix(FACTOR).removeprefix(f"{ATTRIBUTES}/") for key in factors)
        splits = decoded(cached, lambda: _sources(folder), image_size, factors, stream)
        return Found(splits, names, _class_names(folder))
    except UnreadableItemsError as error:
        raise UserError(f"The TFDS data set in '{folder}' is damaged: {error} {_again(folder)}") from error
    except OSError as error:
        raise UserError(
            f"The decoded copy of '{name}' cannot be written to '{cached.parent}': {error}. Free some space, or "
            "set data.cache_dir to a folder that can be written."
        ) from error


def _fingerprint(folder: Path) -> str:
    """Hash of the sizes and times of the prepared files."""
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.iterdir())]
    return hashlib.sha256(repr((str(folder.resolve()), stats)).encode()).hexdigest()[:12]


def _factors(folder: Path) -> list[str]:
    """List the class features `label_*`, as in dSprites, 3D Shapes and small NORB, and CelebA's `attributes`."""
    try:
        features = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]
        classes = sorted(key for key, kind in features.items() if key.startswith(FACTOR) and "classLabel" in kind)
        attributes = features.get(ATTRIBUTES, {}).get("featuresDict", {}).get("features", {})
        yes_or_no = sorted(key for key, kind in attributes.items() if kind.get("tensor", {}).get("dtype") == "bool")
        return classes + [f"{ATTRIBUTES}/{key}" for key in yes_or_no]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []  # an older form, or damage that decoding will report


def _class_names(folder: Path) -> tuple[str, ...]:
    """Read the names of the labels; () where there are none, or they are the numbers themselves."""
    try:
        names = tuple((folder / "label.labels.txt").read_text(encoding="utf-8").split("\n"))
    except (OSError, ValueError):
        return ()
    names = names[:-1] if names[-1] == "" else names
    return () if names == tuple(map(str, range(len(names)))) else names


def _again(folder: Path) -> str:
    options = f"--data_dir={folder.parents[1]} --file_format=array_record --overwrite"
    return f"Prepare it again with: tfds build {folder.parent.name} {options}"


def _sources(folder: Path) -> dict[str, Source]:
    """Open the splits of a prepared data set as random-access sources."""
    from absl import logging

    tfds = require("tensorflow_datasets")  # not imported once the cache exists
    logging.set_verbosity(logging.ERROR)  # hide its advice to install OpenCV
    try:
        builder: Any = tfds.builder_from_directory(str(folder))
        features = builder.info.features
        if "image" not in features:
            raise UserError(f"The TFDS data set in '{folder}' has no feature 'image', but {', '.join(features)}.")
        return {split: builder.as_data_source(split) for split in SPLITS if split in builder.info.splits}
    except NotImplementedError as error:
        stored = builder.info.as_proto.file_format
        raise UserError(f"'{folder}' is stored as {stored}, which only TensorFlow reads. {_again(folder)}") from error
    except UserError:
        raise
    except Exception as error:  # JSON, protocol buffers and ArrayRecord have errors of their own
        raise UserError(f"The TFDS data set in '{folder}' is damaged: {error}. {_again(folder)}") from error
