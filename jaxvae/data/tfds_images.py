"""TFDS image data sets, read without TensorFlow, decoded once into memory-mapped arrays."""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.data.files import Arrays, resize_image
from jaxvae.errors import UserError

SPLITS = ("train", "validation", "test")
CHUNK = 2048  # images decoded in one call: ten times faster than one by one


class UnreadableItemsError(UserError):
    """A source raised something where it was asked for its items."""


def read(name: str, data_dir: str = "", cache_dir: str = "", image_size: int = 0) -> dict[str, Arrays]:
    """`{split: (x, label or None)}` of a prepared TFDS data set, from the cache where it was decoded before.

    Raises:
      UserError: the data set is not prepared on this machine, or not in a random-access format.
    """
    folder = find_prepared(name, data_dir)
    root = Path(cache_dir or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "jaxvae").expanduser() / "data"
    size = f"-{image_size}px" if image_size else ""
    cached = root / f"{name.replace('/', '_')}-{folder.name}{size}-{_fingerprint(folder)}"
    if not cached.is_dir():
        try:
            _decode(folder, cached, image_size)
        except OSError as error:
            raise UserError(
                f"The decoded copy of '{name}' cannot be written to '{cached.parent}': {error}. Free some space, or "
                "set data.cache_dir to a folder that can be written."
            ) from error
    try:
        return _open(cached)
    except (OSError, ValueError, EOFError):  # damaged: it is only a copy
        shutil.rmtree(cached)
        return read(name, data_dir, cache_dir, image_size)


def _open(cached: Path) -> dict[str, Arrays]:
    splits = {}
    for split in json.loads((cached / "splits.json").read_text()):
        label = cached / f"{split}.label.npy"
        splits[split] = (
            np.load(cached / f"{split}.x.npy", mmap_mode="r", allow_pickle=False),
            np.load(label, allow_pickle=False) if label.exists() else None,
        )
    return splits


def find_prepared(name: str, data_dir: str = "") -> Path:
    """The folder `data_dir/name/version` of a prepared data set, newest version first; looks at files alone.

    TFDS itself would start a download, which takes minutes to fail where there is no network.
    """
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    versions = [p.parent for p in (root / name).glob("*/dataset_info.json")]
    if not versions:
        prepared = sorted(p.parent.parent.name for p in root.glob("*/*/dataset_info.json"))
        raise UserError(
            f"The TFDS data set '{name}' is not prepared in '{root}' (there: {', '.join(prepared) or 'nothing'}; "
            f"bundled: digits). Prepare it once with: pip install 'jaxvae[tfds]' && tfds build {name} "
            f"--data_dir={root} --file_format=array_record ; or set TFDS_DATA_DIR or data.data_dir to where it lies, "
            "or data.path to a file or folder of your own."
        )
    return max(versions, key=lambda p: [int(n) if n.isdigit() else -1 for n in p.name.split(".")])


def _fingerprint(folder: Path) -> str:
    """Changes whenever the prepared files do."""
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.iterdir())]
    return hashlib.sha256(repr((str(folder.resolve()), stats)).encode()).hexdigest()[:12]


def _decode(folder: Path, cached: Path, image_size: int) -> None:
    import tensorflow_datasets as tfds  # not needed, nor imported, once the cache is there
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # its advice to install OpenCV is not for our users
    name = folder.parent.name
    again = f"Prepare it again with: tfds build {name} --file_format=array_record --overwrite"
    try:
        builder: Any = tfds.builder_from_directory(str(folder))
        features = builder.info.features
        if "image" not in features:
            raise UserError(f"The TFDS data set in '{folder}' has no feature 'image', but {', '.join(features)}.")
        sources = {split: builder.as_data_source(split) for split in SPLITS if split in builder.info.splits}
    except NotImplementedError as error:
        stored = builder.info.as_proto.file_format
        raise UserError(f"'{folder}' is stored as {stored}, which only TensorFlow reads. {again}") from error
    except UserError:
        raise
    except Exception as error:  # JSON, protocol buffers and ArrayRecord have errors of their own
        raise UserError(f"The TFDS data set in '{folder}' is damaged: {error}. {again}") from error
    cached.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=cached.parent, prefix=".decoding-"))
    try:
        for split, source in sources.items():
            print(f"decoding {len(source)} images of {name}/{split}, once ...", file=sys.stderr)
            decode_source(source, scratch, split, image_size)
        (scratch / "splits.json").write_text(json.dumps(list(sources)))
        scratch.rename(cached)
    except UnreadableItemsError as error:
        raise UserError(f"The TFDS data set in '{folder}' is damaged: {error} {again}") from error
    except OSError:
        if not cached.is_dir():  # otherwise another process was faster, and its copy is as good
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def decode_source(source: Sequence, folder: Path, split: str, image_size: int = 0) -> None:
    """Writes `split.x.npy` (and `split.label.npy`) from any source with length and items `{"image", "label"?}`.

    Raises:
      UserError: there are no items, they cannot be read, or their images are of unequal sizes.
    """
    out, labels = None, []
    for start in range(0, len(source), CHUNK):
        items = _items(source, range(start, min(start + CHUNK, len(source))))
        images = [np.asarray(item["image"]) for item in items]
        if image_size:
            images = [resize_image(image, image_size) for image in images]
        if len({image.shape for image in images} | ({out.shape[1:]} if out is not None else set())) > 1:
            raise UserError(f"The images of split '{split}' have unequal sizes. Set data.image_size to resize them.")
        if out is None:
            shape = (len(source), *images[0].shape)
            out = np.lib.format.open_memmap(folder / f"{split}.x.npy", "w+", images[0].dtype, shape)
        out[start : start + len(images)] = images
        labels += [item["label"] for item in items if np.ndim(item.get("label")) == 0 and "label" in item]
    if out is None:
        raise UserError(f"The split '{split}' holds no images.")
    out.flush()
    if len(labels) == len(source):
        np.save(folder / f"{split}.label.npy", np.asarray(labels, np.int32))


def _items(source: Sequence, indices: range) -> list:
    many = getattr(source, "__getitems__", None)
    try:
        return list(many(list(indices))) if many else [source[i] for i in indices]
    except Exception as error:  # whatever the source raises
        raise UnreadableItemsError(f"items {indices[0]} to {indices[-1]} cannot be read: {error}.") from error
