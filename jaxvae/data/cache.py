"""Cache of decoded sources in a folder, as memory-mapped arrays with checksums."""

import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.decode import decode_source
from jaxvae.data.split import Split
from jaxvae.data.stream import Rows, Source

DAY = 24 * 3600.0
OURS = re.compile(r".+\.(x|label|factors)\.npy|splits\.json")  # the files of a decoded copy
BLOCK, CHECKED_BYTES = 2**20, 2**28


def cache_folder() -> Path:
    """Folder of this library's caches: `$XDG_CACHE_HOME/jaxvae` or `~/.cache/jaxvae`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxvae"


def decoded(
    folder: Path,
    sources: Callable[[], Mapping[str, Source]],
    image_size: int = 0,
    factors: Sequence[str] = (),
    stream: bool = False,
) -> dict[str, Split]:
    """Load the splits cached in `folder`; decode them there first where they are missing or damaged.

    Args:
      folder: of this copy alone.
      sources: returns the sources by split; called only where they are decoded or streamed.
      image_size: as in `decode_source`.
      factors: names of the factors, as in `decode_source`.
      stream: leave the images in the sources and read them from there (`Rows`); `folder` holds the rest.

    Raises:
      UserError: `folder` holds other files, or as `decode_source`.
      OSError: the folder cannot be written.
    """
    splits = _kept(folder, factors, stream) if folder.is_dir() and any(folder.iterdir()) else None
    if splits is None:
        _decode(sources(), folder, image_size, factors, stream)
        splits = _open(folder, factors)
    if not stream:
        return splits
    opened = sources()
    return {name: s._replace(x=Rows(opened[name], s.x.shape[1:], image_size)) for name, s in splits.items()}


def _kept(folder: Path, factors: Sequence[str], stream: bool) -> dict[str, Split] | None:
    """Load the splits in `folder`; if they cannot be used, remove this copy and return None."""
    if others := sorted(path.name for path in folder.iterdir() if not OURS.fullmatch(path.name)):
        raise UserError(
            f"'{folder}' is for decoded images, but holds other files, such as '{others[0]}'. Give a folder that is "
            "new, empty or was written for these images before."
        )
    try:
        splits = _open(folder, factors)
        if not stream and any(not len(split.x) for split in splits.values()):
            raise ValueError("its images were streamed")
    except (OSError, ValueError) as error:
        print(f"the decoded copy in '{folder}' cannot be used: {error}", file=sys.stderr)
        shutil.rmtree(folder)
        return None
    return splits


def _open(folder: Path, factors: Sequence[str]) -> dict[str, Split]:
    """Open the files; ValueError or OSError unless `_decode` wrote them for these factors."""
    match json.loads((folder / "splits.json").read_text()):
        case {"factors": list(names), "crc32": dict(files)} if files:
            pass
        case _:
            raise ValueError("its splits.json is damaged or of an earlier version")
    if names != list(factors):
        raise ValueError("it has other factors")
    for name, checksum in files.items():
        if file_checksum(folder / name) != checksum:
            raise ValueError(f"{name} is damaged")

    def array(name: str, mmap_mode: Literal["r"] | None = None) -> Any:
        return np.load(folder / name, mmap_mode, allow_pickle=False) if name in files else None

    splits = [name.removesuffix(".x.npy") for name in files if name.endswith(".x.npy")]
    return {
        split: Split(array(f"{split}.x.npy", "r"), array(f"{split}.label.npy"), array(f"{split}.factors.npy"))
        for split in splits
    }


def file_checksum(path: Path) -> int:
    """CRC-32 of a file's size and bytes; for files above 256 MiB, of evenly spaced blocks."""
    size = path.stat().st_size
    every = -(-size // CHECKED_BYTES) or 1
    value = zlib.crc32(str(size).encode())
    with path.open("rb") as file:
        for start in range(0, size, BLOCK * every):
            file.seek(start)
            value = zlib.crc32(file.read(BLOCK), value)
    return value


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
        files = {path.name: file_checksum(path) for path in sorted(scratch.iterdir())}
        (scratch / "splits.json").write_text(json.dumps({"factors": list(factors), "crc32": files}))
        scratch.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was faster, and its copy is as good
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch_of_host() -> str:
    return f".decoding-{socket.gethostname()}-"


def _remove_stale(parent: Path) -> None:
    """Remove scratch folders of killed processes: those of this host that are gone, and any older than a day."""
    for scratch in parent.glob(".decoding-*"):
        pid = scratch.name.removeprefix(_scratch_of_host()).partition("-")[0]
        try:
            if time.time() - scratch.stat().st_mtime < DAY and (not pid.isdigit() or _runs(int(pid))):
                continue
        except FileNotFoundError:  # removed meanwhile
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
