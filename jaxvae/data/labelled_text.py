"""Read sentences with a label: `label<TAB>sentence` lines, or a file or folder for each class."""

from pathlib import Path

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.places import check_own
from jaxvae.data.split import SPELLINGS, SPLIT_NAMES
from jaxvae.data.text import lines_of, read_lines, split_files

KINDS = ("tab", "file")  # values of data.label for text
Labelled = dict[str, tuple[list[str], list[str]]]  # by split: sentences and their labels


def read_labelled(path: Path, kind: str) -> Labelled:
    """Read sentences and labels, one sentence a line.

    Args:
      path: with "tab" a file or folder as in `text.read_lines`, whose lines are a label, a tab and a sentence, with no
        label where it is not known; with "file" a folder that has a `.txt` file for each class, or a folder of `.txt`
        files for each class, named after it; or folders "train", "test" ... of such files or folders.
      kind: "tab" or "file".

    Raises:
      UserError: an unknown kind, a missing path, lines without a label, or no class.
    """
    if kind not in KINDS:
        raise unknown("value of data.label for text", kind, KINDS)
    check_own(path, "text")
    if kind == "tab":
        return {split: _cut(lines, path, split) for split, lines in read_lines(path).items()}
    if not path.is_dir():
        raise UserError(
            f"data.label is 'file', but '{path}' is one file: give a folder with a .txt file, or a folder of .txt "
            "files, for each class; or data.label='tab' for lines 'label<TAB>sentence'."
        )
    folders = {each.name.lower(): each for each in path.iterdir() if each.is_dir()}
    splits = {split: [folders[name] for name in names if name in folders] for split, names in SPLIT_NAMES.items()}
    if not splits["train"]:
        return {"train": _by_class(path)}
    found = {split: _by_class(there[0]) for split, there in splits.items() if there}
    for split, (_, labels) in found.items():
        if other := sorted({*labels} ^ {*found["train"][1]}):
            raise UserError(
                f"The classes of '{path}' differ: {', '.join(other)} is in one of the folders of 'train' and '{split}' "
                "alone. Give each split a file or folder for every class, and leave others out."
            )
    return found


def _cut(lines: list[str], path: Path, split: str) -> tuple[list[str], list[str]]:
    without = [i for i, line in enumerate(lines, 1) if line.strip() and "\t" not in line]
    if without:
        raise UserError(
            f"{len(without)} of {len(lines)} lines of the {split} text of '{path}' have no label before a tab; the "
            f"first is line {without[0]}. Write 'label<TAB>sentence' in every line, with nothing before the tab where "
            "the label is not known, or leave data.label empty."
        )
    parts = [line.partition("\t") for line in lines if line.strip()]
    return [sentence for _, _, sentence in parts], [label.strip() for label, _, _ in parts]


def _by_class(folder: Path) -> tuple[list[str], list[str]]:
    """Read the files of each class: `NAME.txt`, or all `.txt` files in the folder `NAME`."""
    names = sorted(each for each in folder.iterdir() if each.is_dir() and any(split_files(each)))
    files = {each.name: split_files(each) for each in names} or {each.stem: [each] for each in split_files(folder)}
    if len(files) < 2:
        raise UserError(
            f"data.label is 'file', but '{folder}' has text of {len(files)} classes: give a .txt file, or a folder of "
            ".txt files, for each of two classes or more, named after it."
        )
    if named := sorted(name for name in files if name.lower() in SPELLINGS):
        raise UserError(
            f"data.label is 'file', but '{folder}' has text called {', '.join(named)}, as a split is, not a class. "
            "Give folders train, test ... with a file or folder for each class."
        )
    lines = {label: [line for file in found for line in lines_of(file)] for label, found in files.items()}
    return [line for found in lines.values() for line in found], [x for x, found in lines.items() for _ in found]
