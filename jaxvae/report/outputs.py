"""Write the outputs of a finished run (results.json, a table, pictures, report.html), and those of the other modes."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from jaxvae import tools
from jaxvae.common.errors import UserError
from jaxvae.common.files import remove_if_empty
from jaxvae.common.types import Params
from jaxvae.data.own_units import viewed
from jaxvae.data.rows import rows_of, with_gaps, write_columns
from jaxvae.data.spec import DataSpec
from jaxvae.data.wanted import said, with_pixels
from jaxvae.evaluation.adding import added, is_sound
from jaxvae.evaluation.results import evaluate, table
from jaxvae.experiment.own import short
from jaxvae.experiment.setup import Experiment
from jaxvae.report import views
from jaxvae.report.figures import NO_LABELS
from jaxvae.report.page import write_report
from jaxvae.report.run_figures import COLUMNS, TITLES, draw, reconstructions, title_of_samples
from jaxvae.runs import codes
from jaxvae.runs.attempts import Failure, attempt, write_traces
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.runs.workdir import read_results, write_json
from jaxvae.tools.base import Labels

OF_TRAINING = ("metrics.jsonl", "config.json", "checkpoints/", "tensorboard/")


def finish(run: TrainedRun, workdir: Path, timing: Mapping[str, Any]) -> None:
    """Evaluate on the test set; add to `results.json`, write, `figures/` and `report.html`.

    A failure of one number, figure or section leaves the others intact. It is named in the notes of `results.json` and
    on the terminal, and its stack trace is in `errors.log`.

    Args:
      run: the trained run.
      workdir: its folder.
      timing: the duration of training in seconds, for `results.json`.

    Raises:
      UserError: a requested metric could not be computed; everything else is written before.
    """
    clock = time.perf_counter()
    evaluation = evaluate(run)
    if jax.process_index() == 0:
        before = read_results(workdir)
        results = added(before if is_sound(before) else {}, evaluation.results)
        results |= {**timing, "evaluate_seconds": time.perf_counter() - clock}
        write_json(workdir / "results.json", results)  # before the pictures, so a kill while drawing loses no number
        print(table(results))
        _illustrate(run, workdir, results, evaluation.failures)
    if evaluation.refused:
        raise UserError(f"{' '.join(evaluation.refused)} The other numbers are in {workdir / 'results.json'}.")


def _illustrate(run: TrainedRun, workdir: Path, results: dict[str, Any], missing: list[Failure]) -> None:
    """Draw the figures and write the page; `missing` are the metrics that could not be computed."""
    failures: list[Failure] = []
    drawn = []
    if run.config["figures"]["draw"]:
        drawn = attempt("figures", failures, lambda: draw(run, results, workdir, failures)) or []
    notes = [failure.note for failure in failures]
    is_written = False
    if run.config["evaluate"]["report"]:
        pictures = [workdir / "figures" / name for name in drawn]
        shown, path = results | {"notes": results["notes"] + notes}, workdir / "report.html"
        is_written = attempt(path.name, failures, lambda: write_report(path, run, shown, pictures, failures))
        notes += [failure.note for failure in failures[len(notes) :] if failure.trace]  # the page has the refusals
    if notes:
        write_json(workdir / "results.json", results | {"notes": results["notes"] + notes})
        print("\n".join(f"  note: {note}" for note in notes))
    write_traces(workdir, missing + failures)
    written = ["results.json", *(["report.html"] if is_written else [])]
    written += [f"figures/ ({', '.join(drawn)})"] if drawn else []
    there = [name for name in OF_TRAINING if (workdir / name).exists()]  # not beside the results on other data
    print(f"wrote {workdir}/: {', '.join([*written, *there])}")


def write_samples(
    workdir: Path, config: Mapping[str, Any], spec: DataSpec, x: Any, sampler: str, context: np.ndarray | None = None
) -> None:
    """Write `samples.npz` with "x" as `viewed`, and its picture, text or music (`--mode=sample`).

    Rows with names of columns are written as `samples.csv` or `.parquet` too, by `sample.format`; those of
    `data.kind=table` have this file alone. Of a conditional model the file has the contexts too, "context" as numbers
    and "given" in words, and the picture has a row for each of the contexts `[M, C]`.
    """
    names = [] if context is None else [said(spec.context, row) for row in context]
    given = np.repeat(names, len(x) // max(len(names), 1))
    rows = with_pixels(spec, viewed(config, spec, x), context)[:, None]
    if spec.columns:
        _write_rows(workdir / "samples", config, _columns(spec, rows[:, 0]) | ({"given": given} if names else {}))
    if spec.table:
        return
    title = title_of_samples(sampler)
    if context is None:
        _write_arrays(workdir, "samples", config, spec, rows, title, ("x",))
        return
    num = len(x) // len(context)
    beside = {"context": np.repeat(context, num, axis=0), "given": given}
    by_context = rows.reshape(len(context), num, *rows.shape[2:])[:, :COLUMNS]
    _write_arrays(workdir, "samples", config, spec, rows, title, ("x",), beside, by_context, Labels(tuple(names)))


def write_reconstructions(experiment: Experiment, workdir: Path, params: Params) -> None:
    """Write `reconstructions.npz`, "x" and "reconstruction" as `viewed`, and a picture (`--mode=reconstruct`).

    Rows with names of columns are written as a table too, as by `write_samples`; an empty cell is a missing value.
    """
    rows, names = reconstructions(experiment, params, experiment.config["sample"]["num"]), ("x", "reconstruction")
    spec, mask = experiment.spec, experiment.dataset.test.mask
    if spec.columns:
        given, made = (_columns(spec, rows[:, i]) for i in range(2))
        given = with_gaps(given, None if mask is None else mask[: len(rows)])
        both = given | {f"{name} reconstructed": array for name, array in made.items()}
        _write_rows(workdir / "reconstructions", experiment.config, both)
    if not spec.table:
        title = TITLES["reconstructions"]
        _write_arrays(workdir, "reconstructions", experiment.config, spec, rows, title, names)


def write_codes(run: TrainedRun, workdir: Path) -> None:
    """Write the codes of `encode.split` to `codes-SPLIT.npz`, `.csv` or `.parquet` (`--mode=encode`)."""
    settings = run.config["encode"]
    which, kind = settings["split"], settings["format"]
    found = codes.encode(run, codes.SPLITS if which == "all" else (which,))
    if jax.process_index() != 0:
        return
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / f"codes-{which}.{kind}"
    codes.FORMATS[kind](path, found)
    num, dim = found.mean.shape
    print(f"wrote {path}: {num} rows, {dim} dimensions of z{'' if found.sd is None else ' with their sd'}")


def write_tool(run: TrainedRun, workdir: Path) -> None:
    """Run the configured tool; write `tools/NAME.npz`, `.json`, and pictures, text or music (`--mode=tool`)."""
    spec = run.config["tool"]
    found = tools.find(spec, run)()
    if jax.process_index() != 0:
        return
    folder = workdir / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / short(spec["name"])
    np.savez(path.with_suffix(".npz"), allow_pickle=False, **found.arrays)
    write_json(path.with_suffix(".json"), {"tool": tools.resolved(spec), **found.numbers})
    written = [".npz", ".json", *([".csv"] if found.table else [])]
    if found.table:
        write_columns(path.with_suffix(".csv"), found.table)
    for name, value in found.numbers.items():
        print(f"  {name.replace('_', ' '):<40}{value:10.4f}")
    columns = found.rows.shape[1]
    shown = views.save(path, run.config, run.experiment.spec, found.rows, found.title, columns, found.labels)
    print(f"wrote {path}: {', '.join([*written, *(p.suffix or 'a folder' for p in shown)])}")


def _columns(spec: DataSpec, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of rows `[N, F]` by name, those of a table in its own terms."""
    return rows_of(spec.table, x) if spec.table else dict(zip(spec.columns, x.T, strict=True))


def _write_rows(path: Path, config: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> None:
    if jax.process_index() != 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_suffix(f".{config['sample']['format']}")
    write_columns(path, columns)
    print(f"wrote {path}: {len(next(iter(columns.values())))} rows, {len(columns)} columns")


def _write_arrays(
    workdir: Path,
    name: str,
    config: Mapping[str, Any],
    spec: DataSpec,
    rows: np.ndarray,
    title: str,
    names: tuple[str, ...],
    beside: Mapping[str, np.ndarray] = MappingProxyType({}),
    shown: np.ndarray | None = None,
    labels: Labels = NO_LABELS,
) -> None:
    """Write `rows` to `NAME.npz`, one array for each column, called as in `names`; draw them, or `shown`."""
    if jax.process_index() != 0:
        return
    arrays = {column: rows[:, i] for i, column in enumerate(names)} | dict(beside)
    np.savez(workdir / f"{name}.npz", allow_pickle=False, **arrays)
    (workdir / "figures").mkdir(exist_ok=True)
    files = views.save(workdir / "figures" / name, config, spec, rows if shown is None else shown, title, labels=labels)
    remove_if_empty(workdir / "figures")
    print(f"wrote {', '.join(map(str, [workdir / f'{name}.npz', *files]))}")
