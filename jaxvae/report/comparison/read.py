"""Read the folders of runs for a comparison."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxvae.common.errors import UserError
from jaxvae.experiment.changes import PLACES
from jaxvae.experiment.plain import flatten, load_config
from jaxvae.report.comparison.table import Entry
from jaxvae.runs.log import read_metrics
from jaxvae.runs.workdir import read_results

OF_RUN = ("num_parameters", "train_seconds")  # numbers of results.json beside the metrics
NOT_MEASURED = ("nll_samples",)  # a setting among the numbers of the test set


class Found(NamedTuple):
    """The runs that were read.

    Attributes:
      entries: the runs.
      logs: the rows of `metrics.jsonl` by the run's name.
      refused: a sentence for each folder that cannot be compared.
    """

    entries: list[Entry]
    logs: dict[str, list[dict[str, Any]]]
    refused: list[str]


def read(folders: Sequence[str]) -> Found:
    """Read runs; a folder given twice is read once."""
    unique = list({Path(folder).resolve(): folder for folder in reversed(folders)}.values())[::-1]
    found, data = Found([], {}, []), DataNames()
    for folder, name in zip(unique, _names(unique), strict=True):
        try:
            settings, metrics, checksum = _read(Path(folder))
            settings["data.name"] = data.name(settings, checksum)
            log = read_metrics(Path(folder))
        except UserError as error:
            found.refused.append(str(error))
        else:
            found.entries.append(Entry(name, settings, metrics))
            found.logs[name] = [row for row in log if isinstance(row.get("epoch"), (int, float)) and "split" in row]
    return found


def numbers(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of `results.json`, flat: those of the test set by their names, "collapse.kl" ..."""
    test, metrics = _section(results, "test"), _section(results, "metrics")
    flat = {name: value for name, value in test.items() if name not in NOT_MEASURED}
    for metric, values in metrics.items():
        if isinstance(values, Mapping):
            flat |= {f"{metric}.{part}": value for part, value in values.items()}
    flat |= {name: results.get(name) for name in OF_RUN}
    return {name: value for name, value in flat.items() if _is_number(value)}


class DataNames:
    """Give data one name, wherever it is: runs share their data if its checksum is the same.

    Other settings of the data (`data.missing`, say) change its checksum, so that runs that differ in these share it if
    its name and path are the same, as do runs of an earlier version, without a checksum.
    """

    def __init__(self) -> None:
        self._known: list[tuple[str, str, dict[str, Any], tuple[Any, ...]]] = []

    def name(self, settings: Mapping[str, Any], checksum: str) -> str:
        """Return the name of the data of a run with flat settings; that of other data of its name has a checksum."""
        how = {key: value for key, value in settings.items() if key.startswith("data.") and key not in PLACES}
        place = tuple(settings.get(key) for key in ("data.name", "data.path", "data.data_dir"))
        name = str(place[0])
        name = f"{name} ({checksum})" if name in [each[0] for each in self._known] else name
        for known, other, other_how, other_place in self._known:
            can_tell = checksum and other and how == other_how
            if checksum == other if can_tell else place == other_place or checksum == other != "":
                name = known
                break
        self._known.append((name, checksum, how, place))
        return name


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, float], str]:
    """Return the flat settings, the numbers, and the checksum of the training data; "" where it is not known."""
    config = load_config(folder)
    results = read_results(folder)
    found = numbers(results)
    if not _section(results, "test"):
        raise UserError(
            f"'{folder}' has no results.json: its training has not ended, or it was made in Python and not evaluated. "
            f"Continue it, or evaluate it with --workdir={folder} --mode=evaluate, or in Python with "
            f"jaxvae.load('{folder}', data=...).report()."
        )
    measured = _section(results, "settings")  # those of the evaluation, which may be newer than the config
    sections = {name: {**_section(config, name), **_section(measured, name)} for name in ("evaluate", "sample")}
    return flatten({**config, **sections}), found, str(_section(results, "data").get("checksum", ""))


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _names(folders: Sequence[str]) -> list[str]:
    """Name each folder: by its last part where these are unique, else by its path."""
    last = [os.path.basename(os.path.normpath(folder)) for folder in folders]  # noqa: PTH119 (normpath keeps no "..")
    return last if len(set(last)) == len(last) else [os.path.normpath(folder) for folder in folders]
