"""Export to StableHLO: one file for each function, which JAX runs in any process, without jaxvae."""

from pathlib import Path

import jax
from jax import export

from jaxvae.api.export.pieces import Piece
from jaxvae.common.optional import require

PLATFORMS = ("cpu", "cuda")
SUFFIX = ".stablehlo"


def write(folder: Path, piece: Piece) -> Path:
    """Write one function, of batches of any size, as `jax.export` serialises it; the weights are constants in it.

    Raises:
      UserError: flatbuffers is not installed.
    """
    require("flatbuffers")
    (size,) = export.symbolic_shape("batch")
    inputs = (jax.ShapeDtypeStruct((size, *one.shape), one.dtype) for one in piece.inputs.values())
    with jax.debug_key_reuse(False):  # in a batch of symbolic size it takes two keys of one split for the same key
        program = export.export(jax.jit(piece.of_batch()), platforms=PLATFORMS)(*inputs)
    path = folder / f"{piece.name}{SUFFIX}"
    path.write_bytes(program.serialize())
    return path
