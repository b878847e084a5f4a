"""Folders of images, read into memory or streamed."""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxvae.common.errors import UserError, printable
from jaxvae.data.cache import cache_folder
from jaxvae.data.resize import as_image
from jaxvae.data.split import Found, Split
from jaxvae.data.stream import Rows

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # Pillow's errors


def read(path: Path, image_size: int = 0, stream: bool = False, cache_dir: str = "") -> Found:
    """Read the images of a folder and its subfolders in the order of their names.

    Labels are indices of subfolders, whose paths are the names of the classes.

    Unreadable images are left out and counted on stderr. Grey images among colored ones become colored; transparency is
    dropped. With `stream`, every image is decoded once to record its shape in `cache_dir`, and again whenever it is
    needed.

    Raises:
      UserError: no image can be read, or the images have several sizes.
    """
    names = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    if stream:
        shapes = _noted_shapes(path, names, cache_dir)
        resized = [shape and ((image_size, image_size, shape[-1]) if image_size else shape) for shape in shapes]
        kept, shape, label, classes = _look_through(path, names, resized)
        x: Any = Rows(_Files(kept, shape[-1]), shape, image_size)
        return Found({"train": Split(x, label, names=_names(path, kept))}, class_names=classes)
    images = _each(names, lambda image: as_image(image, image_size))
    shapes = [None if image is None else image.shape for image in images]
    kept, shape, label, classes = _look_through(path, names, shapes)
    x = np.empty((len(kept), *shape), np.uint8)
    for row, image in zip(x, (image for image in images if image is not None), strict=True):
        row[:] = image
    return Found({"train": Split(x, label, names=_names(path, kept))}, class_names=classes)


def _names(path: Path, files: Sequence[Path]) -> np.ndarray:
    return np.array([printable(file.relative_to(path)) for file in files])


class _Files:
    """Image files as a source of items; a grey image is repeated for each channel."""

    def __init__(self, names: Sequence[Path], channels: int) -> None:
        self._names, self._channels = [str(name) for name in names], channels

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        try:
            pixels = _decode(self._names[index])
        except BROKEN as error:
            raise UserError(
                f"'{self._names[index]}' could be read when the data was first scanned, but cannot now: {error}."
            ) from error
        return {"image": pixels if pixels.shape[-1] == self._channels else np.repeat(pixels, self._channels, -1)}

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, np.ndarray]]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self.__getitem__, indices))


def _decode(name: str | Path) -> np.ndarray:
    with Image.open(name) as image:
        if image.mode.startswith("I;16"):  # Pillow would clip these at 255
            pixels = np.round(np.asarray(image, np.float32) / 257).astype(np.uint8)
        else:
            pixels = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _each(names: Sequence[Path], function: Callable[[np.ndarray], Any]) -> list[Any]:
    """Apply the function to the pixels of each file; None for unreadable files."""

    def one(name: Path) -> Any:
        try:
            return function(_decode(name))
        except BROKEN:
            return None

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, names))


def _noted_shapes(path: Path, names: Sequence[Path], cache_dir: str) -> list[Sequence[int] | None]:
    """Shape of each image, None for unreadable ones; cached until a file changes."""
    stats = [(str(name.relative_to(path)), (stat := name.stat()).st_size, stat.st_mtime_ns) for name in names]
    changes = hashlib.sha256(repr((str(path.resolve()), stats)).encode()).hexdigest()[:12]
    note = Path(cache_dir or cache_folder()).expanduser() / "data" / f"{path.name}-{changes}.json"
    with contextlib.suppress(OSError, ValueError):
        noted = json.loads(note.read_text())
        if isinstance(noted, list) and len(noted) == len(names) and all(map(_is_shape, noted)):
            return noted
    print(f"looking through {len(names)} images of '{printable(path)}', once ...", file=sys.stderr)
    shapes = _each(names, lambda image: image.shape)
    with contextlib.suppress(OSError):  # then they are scanned the next time too
        note.parent.mkdir(parents=True, exist_ok=True)
        scratch = note.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(shapes))
        scratch.rename(note)
    return shapes


def _is_shape(noted: Any) -> bool:
    if noted is None:  # an unreadable image
        return True
    return isinstance(noted, list) and len(noted) == 3 and all(isinstance(n, int) and n > 0 for n in noted)


def _look_through(
    path: Path, names: Sequence[Path], shapes: Sequence[Sequence[int] | None]
) -> tuple[list[Path], tuple[int, ...], np.ndarray | None, tuple[str, ...]]:
    """Select the readable files, those with a shape: `(files, their common shape, labels [N] or None, class names)`.

    Raises:
      UserError: as `read`.
    """
    found = {name: tuple(shape) for name, shape in zip(names, shapes, strict=True) if shape is not None}
    if broken := [name.relative_to(path) for name in names if name not in found]:
        skipped = f"skipped {len(broken)} unreadable images in '{path}', the first: {broken[0]}"
        print(printable(skipped), file=sys.stderr)
    if not found:
        raise UserError(f"The folder '{path}' holds no readable image ({', '.join(sorted(SUFFIXES))}).")
    channels = max(shape[-1] for shape in found.values())
    example = {(*shape[:2], channels): name.relative_to(path) for name, shape in reversed(found.items())}
    if len(example) > 1:
        some = " and ".join(f"'{name}' is {shape}" for shape, name in sorted(example.items())[:2])
        raise UserError(
            f"The images in '{path}' have {len(example)} sizes, among them: {some}. Set data.image_size to resize them."
        )
    folders = sorted({name.parent for name in found})
    label = np.array([folders.index(name.parent) for name in found], np.int32) if len(folders) > 1 else None
    classes = tuple(printable(folder.relative_to(path)) for folder in folders) if len(folders) > 1 else ()
    return list(found), next(iter(example)), label, classes
