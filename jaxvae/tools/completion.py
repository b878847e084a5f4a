"""Complete the rows of a run's data: each missing value by its mean and by draws, beside the observed ones."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.own_units import completed, unbinarized
from jaxvae.data.rows import rows_of
from jaxvae.data.split import SPLIT_NAMES, Split
from jaxvae.runs import imputing
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Labels, Outcome

SHOWN = 16


def is_incomplete(run: TrainedRun) -> bool:
    """Return whether values that the run models are missing in its data; pixels of the context are not."""
    return any(_is_incomplete(run.split(name), run.learned()) for name in SPLIT_NAMES)


def _is_incomplete(split: Split, learned: np.ndarray) -> bool:
    return split.mask is not None and bool((~split.mask & learned).any())


def complete(run: TrainedRun, samples: int, draws: int) -> Outcome:
    """Impute all missing values of a run's data by importance sampling, and keep the observed ones.

    Args:
      run: the run.
      samples: draws of z for each example.
      draws: M imputations of each row beside their mean.

    Returns:
      Arrays: "split" and "row" `[N]`, the rows in their order in the source; "x" `[N, *data_shape]` with NaN where a
      value is missing, "observed", "mean", "draws" `[M, N, *data_shape]` and "effective_samples" `[N]`. For data
      `[N, F]` also a table with the mean ("imputation" 0) and the draws (1 to M) under the original names of the
      columns. Values are in the data's own units. Where `data.missing` hid values, the numbers have the error of the
      means, see `imputing.errors`.

    Raises:
      UserError: no value is missing, or the model has no such densities.
    """
    if not is_incomplete(run):
        raise UserError("No value of the data is missing: choose which ones are hidden, tool.mask=random for example.")
    spec, names = run.experiment.spec, [name for name in SPLIT_NAMES if len(run.split(name).x)]
    found, errors = [], []
    for name in names:
        which = np.arange(len(run.split(name).x))
        filled = imputing.fill(run, name, which, samples, draws)
        if name in run.dataset.complete:
            errors.append((*imputing.hidden(run, name, which), filled.mean))
        both = np.concatenate([filled.mean[None], filled.draws])
        both = completed(run.config, spec, unbinarized(run.config, spec, run.split(name).x), filled.observed, both)
        found.append((np.full(len(which), name), run.dataset.rows_of(name), filled.observed, both, filled.effective))
    split, row, observed, both, effective = (
        np.concatenate([f[i] for f in found], axis=1 if i == 3 else 0) for i in range(5)
    )
    sources = {name: run.dataset.rows.get(name, (name,))[0] for name in names}
    places = np.array([list(sources.values()).index(sources[name]) for name in split.tolist()])
    order = np.lexsort((row, places))
    split, row, observed, both, effective = split[order], row[order], observed[order], both[:, order], effective[order]
    x = np.where(observed, both[0], np.nan)
    arrays = {"split": split, "row": row, "x": x, "observed": observed, "mean": both[0], "draws": both[1:],
              "effective_samples": effective}  # fmt: skip
    numbers = {"missing": float((~observed).mean()), "effective_samples": float(effective.mean())}
    if errors:
        true, where, mean = (np.concatenate(parts) for parts in zip(*errors, strict=True))
        numbers |= imputing.errors(run, true, mean, where)
    first = np.flatnonzero(~observed.reshape(len(observed), -1).all(axis=1))[:SHOWN]
    middle = np.where(observed, both[0], np.mean(both[0][observed]))
    shown = np.stack([middle[first], *both[:2, first]])
    title = f"incomplete examples; mean of the missing values{'; a draw of them' if draws else ''}"
    labels = Labels(("observed", "mean", "draw")[: len(shown)])
    return Outcome(arrays, shown, title, numbers, labels, _table(run, split, row, both) if x.ndim == 2 else {})


def _table(run: TrainedRun, split: np.ndarray, row: np.ndarray, both: np.ndarray) -> dict[str, np.ndarray]:
    """Stack the completed tables, the mean first, under the names of the columns."""
    times = len(both)
    stacked, spec = both.reshape(-1, both.shape[-1]), run.experiment.spec
    names = spec.columns or tuple(f"x{i}" for i in range(stacked.shape[1]))
    columns = rows_of(spec.table, stacked) if spec.table else dict(zip(names, stacked.T, strict=True))
    beside = {"imputation": np.repeat(np.arange(times), len(row)), "split": np.tile(split, times),
              "row": np.tile(row, times)}  # fmt: skip
    return beside | columns
