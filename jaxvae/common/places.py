"""Find data by name or path without reading it. Imports no JAX, so that mistakes are reported at once."""

import difflib
import os
from importlib.util import find_spec
from pathlib import Path

from jaxvae.common.errors import UserError

BUNDLED = {"images": ("digits", "shapes", "color_shapes", "cells", "breast_cancer"), "text": ("sentences",),
           "music": ("melodies",), "table": ("wine", "diabetes", "breast_cancer")}  # fmt: skip
WANTED = {
    "images": "arrays (.npz, .npy, .mat, .h5), a table (.csv, .tsv, .parquet), an .h5ad file, or a folder of images or "
    "arrays",
    "text": "a text file with one sentence per line, or a folder of such files",
    "table": "a table (.csv, .tsv, .parquet)",
    "music": "an .npz of frames, a MIDI file (.mid, .midi), or a folder of MIDI files",
}
SUFFIXES = {  # (): any
    "images": (".npz", ".npy", ".mat", ".h5", ".hdf5", ".h5ad", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet"),
    "text": (),
    "music": (".npz", ".mid", ".midi"),
    "table": (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet"),
}


IN_MEMORY = "arrays"  # name of a data set that was given in Python as an object


def check_own(path: Path, kind: str = "images") -> None:
    """Check that `data.path` is a folder, or a file with a suffix of its kind.

    Raises:
      UserError: the path does not exist, is a file with another suffix, or a named pipe or device.
    """
    if not path.exists():
        raise UserError(f"data.path is '{path}', which does not exist. Give {WANTED[kind]}.")
    if not path.is_dir() and SUFFIXES[kind] and not path.name.lower().endswith(SUFFIXES[kind]):
        raise UserError(f"data.path is '{path}', which has another suffix. Give {WANTED[kind]}.")
    if not path.is_dir() and not path.is_file():
        raise UserError(f"data.path is '{path}', which is neither a file nor a folder. Give {WANTED[kind]}.")


def check_named(name: str, kind: str = "images", data_dir: str = "") -> None:
    """Check that a data set without a path is bundled, or prepared by TFDS.

    Raises:
      UserError: it is neither.
    """
    if name in BUNDLED[kind]:
        return
    if name == IN_MEMORY:
        raise _not_kept()
    if kind == "images":
        find_prepared(name, data_dir)
        return
    _check_no_path(name, kind)
    raise UserError(
        f"data.kind is '{kind}', but no data of that kind has the name '{name}': take "
        f"{' or '.join(map(repr, BUNDLED[kind]))}, which is bundled, or set data.path to {WANTED[kind]}."
    )


def find_prepared(name: str, data_dir: str = "") -> Path:
    """Find the folder `data_dir/name/version` of a prepared TFDS data set, of the newest version, by its files alone.

    TFDS itself would start a download, which takes minutes to fail without a network.

    Raises:
      UserError: the data set is not prepared; for names that TFDS does not have either, the nearest one is suggested.
    """
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    versions = [p.parent for p in (root / name).glob("*/dataset_info.json")]
    if versions:
        return max(versions, key=lambda p: [int(n) if n.isdigit() else -1 for n in p.name.split(".")])
    if name == IN_MEMORY:
        raise _not_kept()
    known = _names_of_tfds()
    if name.partition("/")[0].partition(":")[0] not in known:
        _check_no_path(name)
    prepared = sorted(p.parent.parent.name for p in root.glob("*/*/dataset_info.json"))
    here = f"'{root}' (there: {', '.join(prepared) or 'nothing'}; bundled: {', '.join(BUNDLED['images'])})"
    elsewhere = "set TFDS_DATA_DIR or data.data_dir to its folder, or data.path to your own file or folder"
    if known and name.partition("/")[0].partition(":")[0] not in known:
        near = difflib.get_close_matches(name, [*BUNDLED["images"], *prepared, *known], n=1, cutoff=0.6)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        hint = f"No file or folder '{name}' exists either, seen from '{Path.cwd()}'. " if "/" in name else hint
        raise UserError(
            f"There is no data set '{name}': it is neither bundled nor in {here}, and TFDS has none of this name. "
            f"{hint}Else {elsewhere}."
        )
    raise UserError(
        f"The TFDS data set '{name}' is not prepared in {here}. Prepare it once with: pip install 'jaxvae[tfds]' && "
        f"tfds build {name} --data_dir={root} --file_format=array_record ; or {elsewhere}."
    )


def _check_no_path(name: str, kind: str = "images") -> None:
    """Raise UserError for the name of a data set that looks like a path: nothing is there."""
    suffixes = {suffix for each in SUFFIXES.values() for suffix in each} | {".txt"}
    if name.startswith(("/", ".", "~")) or name.lower().endswith(tuple(suffixes)):
        raise UserError(
            f"The file or folder '{name}' does not exist, seen from '{Path.cwd()}', and no data set has this name. "
            f"Give the path of {WANTED[kind]}."
        )


def _not_kept() -> UserError:
    return UserError(
        "The run was trained on data that was given in Python, which its folder does not hold: hand it over again, "
        "jaxvae.load(folder, data=...), or as a file, --config.data.path=FILE."
    )


def _names_of_tfds() -> list[str]:
    """Return the names of all TFDS data sets; only for error messages, since the import takes a second."""
    if not find_spec("tensorflow_datasets"):
        return []
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)
