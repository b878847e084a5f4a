"""Export to ONNX by jax2onnx, compared with the model under onnxruntime."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from jax import export

from jaxvae.api.export.jaxprs import flat
from jaxvae.api.export.pieces import Piece
from jaxvae.common.errors import UserError, first_line
from jaxvae.common.optional import require

SUFFIX = ".onnx"
TOLERANCE = 1e-4  # of each output, relative to its greatest value where that is above 1
INSTEAD = "Take format='stablehlo', which takes every model, or parts=(...) without it."


def write(folder: Path, piece: Piece, batch: Sequence[np.ndarray]) -> Path:
    """Write one function, of batches of any size, and compare it with the model.

    Args:
      folder: to write to.
      piece: the function.
      batch: inputs to compare at, `[N, ...]` each.

    Raises:
      UserError: the extra `onnx` is not installed, the function cannot be converted, or it differs from the model.
    """
    path, names = folder / f"{piece.name}{SUFFIX}", [*piece.inputs]
    with _quiet():
        converter, runtime = require("jax2onnx"), require("onnxruntime")
        (size,) = export.symbolic_shape("batch")
        inputs = [jax.ShapeDtypeStruct((size, *one.shape), one.dtype) for one in piece.inputs.values()]
        try:
            function = jax.vmap(flat(piece.function, *piece.inputs.values()))
            converter.to_onnx(
                function, inputs, return_mode="file", output_path=str(path), input_names=names,
                output_names=sorted(piece.outputs), model_name=piece.name,
            )  # fmt: skip
            session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            found = session.run(None, dict(zip(names, batch, strict=True)))
        except Exception as error:  # converter and runtime raise many types
            path.unlink(missing_ok=True)
            raise UserError(
                f"The {piece.name} ({piece.made_of}) cannot be converted to ONNX: {first_line(error)}. {INSTEAD}"
            ) from error
    wanted = jax.tree.leaves(jax.jit(piece.of_batch())(*batch))  # in the order of sorted names
    for name, one, other in zip(sorted(piece.outputs), found, wanted, strict=True):
        error = _difference(one, np.asarray(other))
        if not error <= TOLERANCE:
            path.unlink()
            raise UserError(
                f"The {piece.name} ({piece.made_of}) was converted to ONNX, but its output '{name}' differs from the "
                f"model's by {error:.1e}. {INSTEAD}"
            )
    return path


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the greatest difference, relative where the values are above 1."""
    return float(np.abs(found - wanted).max(initial=0.0) / max(1.0, np.abs(wanted).max(initial=0.0)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the logs of the converter: it names each of its rules that does not load, and shapes it does not know."""
    logs = [logging.getLogger(name) for name in ("jax2onnx", "onnx_ir")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
