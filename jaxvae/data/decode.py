"""Decode a source of images to arrays, or only its labels where images are streamed."""

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.resize import as_image
from jaxvae.data.stream import AT_ONCE, Source, read_items


def decode_source(
    source: Source,
    folder: Path,
    split: str,
    image_size: int = 0,
    factors: Sequence[str] = (),
    stream: bool = False,
) -> None:
    """Write `split.x.npy` (and `split.label.npy`) from any source with length and items `{"image", "label"?}`.

    The items hold a whole number for each of `factors`, written to `split.factors.npy` `[N, F]`; a factor within a
    dictionary of the item is named by both keys, as in "attributes/Smiling". With `stream`, `split.x.npy` has the shape
    of the images and no rows.

    Raises:
      UserError: there are no items, they cannot be read or lack a factor, or their images have unequal sizes.
    """
    if not len(source):
        raise UserError(f"The split '{split}' holds no images.")
    out, labels, rows = None, [], []
    for start in range(0, len(source), AT_ONCE):
        items = read_items(source, range(start, min(start + AT_ONCE, len(source))))
        images = [as_image(item["image"], image_size) for item in items]
        if out is None:
            shape = (0 if stream else len(source), *images[0].shape)
            out = np.lib.format.open_memmap(folder / f"{split}.x.npy", "w+", images[0].dtype, shape)
        for i, image in enumerate(images):
            _check_like_first(image, out, split, start + i, image_size)
        if not stream:
            out[start : start + len(images)] = images
        elif out.dtype != np.uint8:
            raise UserError(f"The images of split '{split}' are {out.dtype}; only uint8 ones can be streamed.")
        labels += [item["label"] for item in items if np.ndim(item.get("label")) == 0 and "label" in item]
        rows.append(_factors(items, factors, split))
    if out is not None:
        out.flush()
    if len(labels) == len(source):
        np.save(folder / f"{split}.label.npy", np.asarray(labels, np.int32))
    if factors:
        np.save(folder / f"{split}.factors.npy", np.concatenate(rows))


def _check_like_first(image: np.ndarray, first: np.ndarray, split: str, index: int, image_size: int) -> None:
    shape = first.shape[1:]
    if image.shape == shape:
        return
    which = f"The images of split '{split}', {shape} at item 0 and {image.shape} at item {index}, have unequal"
    if image.shape[:2] == shape[:2] or image_size:
        raise UserError(f"{which} numbers of channels. Convert them to one form first.")
    raise UserError(f"{which} sizes. Set data.image_size to resize them.")


def _factors(items: list, names: Sequence[str], split: str) -> np.ndarray:
    try:
        return np.array([[_whole(item, name) for name in names] for item in items], np.int32)
    except (KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"The factors of split '{split}' are {', '.join(names)}; every item must hold a whole number for each of "
            f"them, of up to 32 bits ({type(error).__name__}: {error})."
        ) from error


def _whole(item: Any, name: str) -> int:
    for part in name.split("/"):
        item = item[part]
    return int(item) if isinstance(item, np.bool_) else operator.index(item)
