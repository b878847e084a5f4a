"""Export weights, settings, numbers and figures as a folder that the Hugging Face hub takes as it is."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxvae.api.export.card import card
from jaxvae.common.errors import UserError
from jaxvae.report.run_figures import draw
from jaxvae.runs.restore import Restored
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.runs.weights_file import NAME, write_weights
from jaxvae.runs.workdir import read_results, write_json

LOCAL = ("data.path", "data.data_dir", "data.cache_dir")  # settings that name a place on this machine
FIGURES = ("samples", "reconstructions", "curves", "latent_scatter")


def write(
    run: Any, restored: Restored, trained: Callable[[], TrainedRun], folder: Path, license: str = ""
) -> list[Path]:
    """Write `model.safetensors`, `config.json`, `results.json`, `metrics.jsonl`, figures and a model card, `README.md`.

    Numbers and figures are those in the run's folder; where it has none, or is in memory, they are computed now. Where
    its data is not found, the card says so.

    Args:
      run: a `Run`.
      restored: its checkpoint.
      trained: returns it with its data.
      folder: to write to.
      license: an identifier such as "apache-2.0", for the card.
    """
    write_weights(folder / NAME, restored.step, restored.weights, restored.info)
    write_json(folder / "config.json", _published(run.config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in run.history))
    results = _numbers(run)
    if results:
        write_json(folder / "results.json", results)
    with _drawn(run, trained, results, folder) as figures:
        kept = [path for name in FIGURES for path in sorted(figures.glob(f"{name}.png"))]
        for path in kept:
            (folder / "figures").mkdir(exist_ok=True)
            shutil.copy(path, folder / "figures" / path.name)
    text = card(run, restored, results, [f"figures/{path.name}" for path in kept], license)
    (folder / "README.md").write_text(text, encoding="utf-8")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _published(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, of paths the last component alone."""
    found = json.loads(json.dumps(config))
    for key in LOCAL:
        section, _, name = key.partition(".")
        found[section][name] = Path(found[section][name]).name
    return found


def _numbers(run: Any) -> dict[str, Any]:
    """Return the content of `results.json`; {} where the run has none, and its data is not found."""
    if run.workdir is not None and (results := read_results(run.workdir)):
        return results
    try:
        return run.evaluate(run.config["evaluate"]["metrics"])
    except UserError:
        return {}


@contextlib.contextmanager
def _drawn(run: Any, trained: Callable[[], TrainedRun], results: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Yield a folder with the run's figures, drawn now where it has none."""
    if run.workdir is not None and (run.workdir / "figures").is_dir():
        yield run.workdir / "figures"
        return
    with tempfile.TemporaryDirectory() as scratch:
        if results and run.config["figures"]["draw"]:
            shutil.copy(folder / "metrics.jsonl", scratch)
            draw(trained(), results, Path(scratch), [])
        yield Path(scratch) / "figures"
