"""Sources looked through once: decoded into memory-mapped arrays, or only their labels where images are streamed."""

import json
import operator
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.resize import as_image
from jaxvae.data.split import Split
from jaxvae.data.stream import AT_ONCE, Rows, Source, read_items

DAY = 24 * 3600.0


def cache_folder() -> Path:
    """Where this library keeps what it can make anew: `$XDG_CACHE_HOME/jaxvae` or `~/.cache/jaxvae`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxvae"


def decoded(
    folder: Path,
    sources: Callable[[], Mapping[str, Source]],
    image_size: int = 0,
    factors: Sequence[str] = (),
    stream: bool = False,
) -> dict[str, Split]:
    """The splits in `folder`; `sources` is asked only where they, with these factors, were not decoded there before.

    Where `stream` is set, the images stay in the sources and are read from there (`Rows`); only what else is known
    of them lies in `folder`.

    Raises:
      UserError: see `decode_source`.
      OSError: the folder cannot be written.
    """
    if not folder.is_dir():
        _decode(sources(), folder, image_size, factors, stream)
    try:
        splits = _open(folder, factors)
        if not stream and any(not len(split.x) for split in splits.values()):
            raise ValueError("these were streamed")
    except (OSError, ValueError, EOFError):  # damaged, or of other factors: it is only a copy
        shutil.rmtree(folder)
        return decoded(folder, sources, image_size, factors, stream)
    if not stream:
        return splits
    opened = sources()
    return {name: s._replace(x=Rows(opened[name], s.x.shape[1:], image_size)) for name, s in splits.items()}


def _open(folder: Path, factors: Sequence[str]) -> dict[str, Split]:
    kept = json.loads((folder / "splits.json").read_text())
    if isinstance(kept, list):  # as it was written before there were factors
        kept = {split: [] for split in kept}
    splits = {}
    for split, names in kept.items():
        if names != list(factors):
            raise ValueError("these are other factors")
        label = folder / f"{split}.label.npy"
        splits[split] = Split(
            np.load(folder / f"{split}.x.npy", mmap_mode="r", allow_pickle=False),
            np.load(label, allow_pickle=False) if label.exists() else None,
            np.load(folder / f"{split}.factors.npy", allow_pickle=False) if names else None,
        )
    return splits


def _decode(sources: Mapping[str, Source], folder: Path, image_size: int, factors: Sequence[str], stream: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder.parent)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{_scratch_of_host()}{os.getpid()}-"))
    name = folder.name.partition("-")[0]
    try:
        for split, source in sources.items():
            doing = "looking through" if stream else "decoding"
            print(f"{doing} {len(source)} images of {name}/{split}, once ...", file=sys.stderr)
            decode_source(source, scratch, split, image_size, factors, stream)
        (scratch / "splits.json").write_text(json.dumps({split: list(factors) for split in sources}))
        scratch.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was faster, and its copy is as good
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch_of_host() -> str:
    return f".decoding-{socket.gethostname()}-"


def _remove_stale(parent: Path) -> None:
    """Removes what killed decodings left: those of processes of this host that are gone, and any older than a day."""
    for scratch in parent.glob(".decoding-*"):
        pid = scratch.name.removeprefix(_scratch_of_host()).partition("-")[0]
        try:
            if time.time() - scratch.stat().st_mtime < DAY and (not pid.isdigit() or _runs(int(pid))):
                continue
        except FileNotFoundError:  # it has just ended
            continue
        shutil.rmtree(scratch, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # another user's
        return True
    except ProcessLookupError:
        return False
    return True


def decode_source(
    source: Source,
    folder: Path,
    split: str,
    image_size: int = 0,
    factors: Sequence[str] = (),
    stream: bool = False,
) -> None:
    """Writes `split.x.npy` (and `split.label.npy`) from any source with length and items `{"image", "label"?}`.

    Where `factors` are named, the items hold a whole number for each, which `split.factors.npy` `[N, F]` takes; that of
    a dictionary in the item is called by both names, as in "attributes/Smiling". Where `stream` is set, `split.x.npy`
    has the shape of the images and no rows.

    Raises:
      UserError: there are no items, they cannot be read or lack a factor, or their images are of unequal sizes.
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
