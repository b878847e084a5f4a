"""Encode the rows of a trained run's data, and write the codes as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.types import Array, Params
from jaxvae.data.rows import write_columns
from jaxvae.distributions.structure import moments
from jaxvae.models.base import centre, encode_batch
from jaxvae.models.facts import Batch
from jaxvae.runs.trained_run import TrainedRun

SPLITS = ("train", "validation", "test")


class Codes(NamedTuple):
    """Codes of N examples.

    Attributes:
      mean: `[N, D]` float32, the mean of q(z|x), or its centre where q has no mean, flattened.
      sd: `[N, D]` float32, the standard deviations of a Gaussian q(z|x); None for other posteriors.
      beside: `{name: [N]}`: "split" and "row" of each example, and where there are any its "name", "label" (the name of
        the class where it has one) and the factors.
    """

    mean: np.ndarray
    sd: np.ndarray | None
    beside: dict[str, np.ndarray]


def encode(run: TrainedRun, splits: Sequence[str]) -> Codes:
    """Encode all examples of some splits, each with its own context and mask.

    "row" counts from 0 in the source of the data: for data that is split by jaxvae in the whole file or folder, for
    data that comes in splits in the given split.
    """

    @jax.jit
    def of_batch(params: Params, batch: Batch) -> tuple[Array, Array | None]:
        posterior = encode_batch(run.experiment.model, params, batch)
        known: Any = moments(posterior)
        return centre(posterior), None if known is None else jnp.sqrt(jnp.diagonal(known[1], axis1=-2, axis2=-1))

    found = [jax.device_get(of_batch(run.params, batch)) for split in splits for batch in run.batches(split)]
    mean, sd = zip(*found, strict=True)
    return Codes(_rows(mean), None if sd[0] is None else _rows(sd), _beside(run, splits))


def _rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    whole = np.concatenate(parts)
    return whole.reshape(len(whole), -1)


def _beside(run: TrainedRun, splits: Sequence[str]) -> dict[str, np.ndarray]:
    dataset = run.dataset

    def joined(arrays: list[Any]) -> Any:
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    label, names = joined([run.split(split).label for split in splits]), dataset.class_names
    found = {
        "split": np.concatenate([np.full(len(run.split(split).x), split) for split in splits]),
        "row": np.concatenate([dataset.rows_of(split) for split in splits]),
        "name": joined([run.split(split).names for split in splits]),
        "label": label if label is None or not names else np.asarray([*names, ""])[label],
    }
    factors = joined([run.split(split).factors for split in splits])
    if factors is not None:
        found |= {name: factors[:, i] for i, name in enumerate(dataset.factor_names)}
    return {name: array for name, array in found.items() if array is not None}


def write_npz(path: Path, codes: Codes) -> None:
    """Write the arrays "mean" and "sd" `[N, D]`, and those of `beside` `[N]`."""
    sd = {} if codes.sd is None else {"sd": codes.sd}
    np.savez(path, allow_pickle=False, mean=codes.mean, **sd, **codes.beside)


def write_table(path: Path, codes: Codes) -> None:
    """Write the table of `columns_of`; numbers are read back to the same float32."""
    write_columns(path, columns_of(codes))


def columns_of(codes: Codes) -> dict[str, np.ndarray]:
    """Return the table `{column: [N]}`: those of `beside`, then "z0", "z1" ... and "sd0", "sd1" ..."""
    columns = dict(codes.beside)
    for name, array in {"z": codes.mean, "sd": codes.sd}.items():
        if array is not None:
            columns |= {f"{name}{i}": array[:, i] for i in range(array.shape[1])}
    return columns


FORMATS = {"npz": write_npz, "csv": write_table, "parquet": write_table}
