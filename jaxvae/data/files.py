"""Own data: an .npz or .npy file, or a folder of images. Nothing here unpickles."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxvae.data.split import Split
from jaxvae.errors import UserError

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
DATA_NAMES = ("x", "X", "images", "image", "data")
LABEL_NAMES = ("y", "labels", "label", "targets", "target")
FACTOR_NAMES = ("factors",)
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def read(path: Path, image_size: int = 0) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits and the names of their factors, where there are such; a single array or a folder is all "train".

    Raises:
      UserError: the path is missing, unreadable, or holds no data of a known form.
    """
    if path.is_dir():
        return {"train": _folder(path, image_size)}, ()
    if not path.exists():
        raise UserError(
            f"data.path is '{path}', where there is nothing. Give an .npz or .npy file or a folder of images."
        )
    if path.suffix not in (".npz", ".npy"):
        raise UserError(f"data.path is '{path}'; a file must be .npz or .npy, and images go by their folder.")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = {"x": loaded} if path.suffix == ".npy" else {key: loaded[key] for key in loaded.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it is not what its name says")
    except Exception as error:  # zip, header and pickle errors are all of different types
        # NumPy's own text would advise to allow pickles.
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise UserError(
            f"'{path}' cannot be read as plain arrays (objects and pickles are refused): {reason}."
        ) from error
    names = _names(arrays.pop("factor_names", None), path)
    splits = _by_split(arrays, path)
    return {key: split._replace(x=resize(_pixels(split.x), image_size)) for key, split in splits.items()}, names


def resize(x: np.ndarray, image_size: int) -> np.ndarray:
    """Images `[N, H, W, C]` cropped to their central square and resized to `image_size`; 0 leaves them alone."""
    if not image_size or x.shape[1:3] == (image_size, image_size):
        return x
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[-1] not in (1, 3) or not x.size or image_size < 0:
        raise UserError(
            f"data.image_size is {image_size}, and the data is {x.dtype} of shape {x.shape}. Only 8-bit images "
            "[N, height, width, 1 or 3] can be resized, to 1 pixel or more."
        )
    return np.stack([resize_image(image, image_size) for image in x])


def resize_image(image: np.ndarray, image_size: int) -> np.ndarray:
    """One uint8 image `[H, W, C]`, cropped to its central square and resized to `[image_size, image_size, C]`."""
    height, width, channels = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side].squeeze())
    small = square.resize(
        (image_size, image_size), Image.Resampling.BOX if side > image_size else Image.Resampling.BILINEAR
    )
    return np.asarray(small).reshape(image_size, image_size, channels)


def _names(array: np.ndarray | None, path: Path) -> tuple[str, ...]:
    if array is None:
        return ()
    if array.ndim != 1 or array.dtype.kind != "U":
        raise UserError(f"'factor_names' in '{path}' is {array.dtype} {array.shape}; it must be a list of strings.")
    return tuple(map(str, array))


def _by_split(arrays: dict[str, np.ndarray], path: Path) -> dict[str, Split]:
    found = {}
    for split, spellings in SPLIT_NAMES.items():
        for s in spellings:
            x = _first(arrays, [s, *(form for n in DATA_NAMES for form in (f"{n}_{s}", f"{s}_{n}"))])
            label, factors = (
                _first(arrays, [form for n in names for form in (f"{n}_{s}", f"{s}_{n}")])
                for names in (LABEL_NAMES, FACTOR_NAMES)
            )
            if x is not None:
                found[split] = Split(x, label, factors)
    if "train" in found:
        return found
    label, factors = _first(arrays, LABEL_NAMES), _first(arrays, FACTOR_NAMES)
    x = _first(arrays, DATA_NAMES)
    if found and x is not None:
        return {"train": Split(x, label, factors), **found}
    if x is None and not found:
        others = [a for key, a in arrays.items() if key not in (*LABEL_NAMES, *FACTOR_NAMES) and a.ndim >= 2]
        x = others[0] if len(others) == 1 else None
    if x is None:
        listed = ", ".join(f"{key} {a.shape}" for key, a in arrays.items()) or "nothing"
        raise UserError(
            f"'{path}' holds {listed}. Name the data 'x' (and labels 'y'), or 'x_train', 'x_test' and so on."
        )
    return {"train": Split(x, label, factors)}


def _first(arrays: dict[str, np.ndarray], names) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _pixels(x: np.ndarray) -> np.ndarray:
    """To uint8, float32 or int32, with a channel axis for images; what else there is, the checks refuse."""
    if x.dtype == np.uint8:
        pass  # a look at its values would read all of them
    elif x.dtype == np.bool_ or (x.dtype.kind in "iu" and x.size and x.min() >= 0 and x.max() <= 255):
        x = x.astype(np.uint8)
    elif x.dtype.kind in "iu" and x.size and abs(x).max() < 2**24:  # what a float32 can hold
        x = x.astype(np.int32)
    elif x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, and is then refused as such
            x = x.astype(np.float32)
    return x[..., None] if x.ndim == 3 else x


def _folder(path: Path, image_size: int) -> Split:
    names = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    images, kept, broken = [], [], []
    for name, image in _decoded(names):
        if image is None:
            broken.append(name.name)
        else:
            images.append(resize_image(image, image_size) if image_size else image)
            kept.append(name)
    if broken:
        print(f"skipped {len(broken)} unreadable images in '{path}', the first: {broken[0]}", file=sys.stderr)
    if not images:
        raise UserError(f"The folder '{path}' holds no readable image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    if max(image.shape[-1] for image in images) == 3:
        images = [np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image for image in images]
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise UserError(
            f"The images in '{path}' have {len(shapes)} sizes, among them {shapes[:3]}. Set data.image_size to "
            "resize them."
        )
    folders = sorted({name.parent for name in kept})
    label = np.array([folders.index(name.parent) for name in kept], np.int32) if len(folders) > 1 else None
    return Split(np.stack(images), label)


def _decoded(names: list[Path]) -> Iterator[tuple[Path, np.ndarray | None]]:
    """Each file with its pixels `[H, W, 1 or 3]`, or with None where it is broken."""
    for name in names:
        try:
            with Image.open(name) as image:
                if image.mode.startswith("I;16"):  # Pillow would cut these off at 255
                    pixels = np.round(np.asarray(image, np.float32) / 257).astype(np.uint8)
                else:
                    pixels = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
        except (UnidentifiedImageError, OSError, ValueError):
            yield name, None
        else:
            yield name, pixels[..., None] if pixels.ndim == 2 else pixels
