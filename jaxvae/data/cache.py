"""Sources decoded once into memory-mapped arrays: the second start reads no image again."""

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

import numpy as np

from jaxvae.data.files import resize_image
from jaxvae.data.split import Split
from jaxvae.errors import UserError

CHUNK = 2048  # images decoded in one call: ten times faster than one by one


DAY = 24 * 3600.0


def cache_folder() -> Path:
    """Where this library keeps what it can make anew: `$XDG_CACHE_HOME/jaxvae` or `~/.cache/jaxvae`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxvae"


class UnreadableItemsError(UserError):
    """A source raised something where it was asked for its items."""


def decoded(
    folder: Path, sources: Callable[[], Mapping[str, Sequence]], image_size: int = 0, factors: Sequence[str] = ()
) -> dict[str, Split]:
    """The splits in `folder`; `sources` is asked only where they, with these factors, were not decoded there before.

    Raises:
      UserError: see `decode_source`.
      OSError: the folder cannot be written.
    """
    if not folder.is_dir():
        _decode(sources(), folder, image_size, factors)
    try:
        return _open(folder, factors)
    except (OSError, ValueError, EOFError):  # damaged, or of other factors: it is only a copy
        shutil.rmtree(folder)
        return decoded(folder, sources, image_size, factors)


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


def _decode(sources: Mapping[str, Sequence], folder: Path, image_size: int, factors: Sequence[str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder.parent)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{_scratch_of_host()}{os.getpid()}-"))
    name = folder.name.partition("-")[0]
    try:
        for split, source in sources.items():
            print(f"decoding {len(source)} images of {name}/{split}, once ...", file=sys.stderr)
            decode_source(source, scratch, split, image_size, factors)
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


def decode_source(source: Sequence, folder: Path, split: str, image_size: int = 0, factors: Sequence[str] = ()) -> None:
    """Writes `split.x.npy` (and `split.label.npy`) from any source with length and items `{"image", "label"?}`.

    Where `factors` are named, the items hold a whole number for each, which `split.factors.npy` `[N, F]` takes.

    Raises:
      UserError: there are no items, they cannot be read or lack a factor, or their images are of unequal sizes.
    """
    out, labels, rows = None, [], []
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
        rows.append(_factors(items, factors, split))
    if out is None:
        raise UserError(f"The split '{split}' holds no images.")
    out.flush()
    if len(labels) == len(source):
        np.save(folder / f"{split}.label.npy", np.asarray(labels, np.int32))
    if factors:
        np.save(folder / f"{split}.factors.npy", np.concatenate(rows))


def _factors(items: list, names: Sequence[str], split: str) -> np.ndarray:
    try:
        return np.array([[operator.index(item[name]) for name in names] for item in items], np.int32)
    except (KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"The factors of split '{split}' are {', '.join(names)}; every item must hold a whole number for each of "
            f"them, of up to 32 bits ({type(error).__name__}: {error})."
        ) from error


def _items(source: Sequence, indices: range) -> list:
    many = getattr(source, "__getitems__", None)
    try:
        return list(many(list(indices))) if many else [source[i] for i in indices]
    except Exception as error:  # whatever the source raises
        raise UnreadableItemsError(f"items {indices[0]} to {indices[-1]} cannot be read: {error}.") from error
