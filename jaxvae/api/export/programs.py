"""Write encoder, decoder and sampler as programs for other runtimes, beside a JSON that describes them."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from jaxvae.api.export import onnx, stablehlo
from jaxvae.api.export.pieces import Piece, about, examples, pieces
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Params
from jaxvae.data.spec import DataSpec
from jaxvae.models.base import Model
from jaxvae.runs.workdir import write_json

PARTS = {"stablehlo": ("encoder", "decoder", "sampler"), "onnx": ("encoder", "decoder")}  # that each format takes
CALLS = {
    "stablehlo": "jax.export.deserialize(bytearray(pathlib.Path(FILE).read_bytes())).call(INPUTS...)",
    "onnx": "onnxruntime.InferenceSession(FILE).run(None, {input: array}) gives the outputs in order",
}
INDEX = "export.json"


def write(
    model: Model, params: Params, config: Mapping[str, Any], spec: DataSpec, folder: Path, format: str,
    parts: Sequence[str] = (),
) -> list[Path]:  # fmt: skip
    """Write the functions of a trained model, and `export.json` with names, shapes and units of inputs and outputs.

    Args:
      model: the model.
      params: its parameters.
      config: the settings of its run.
      spec: how its data is prepared.
      folder: to write to.
      format: "stablehlo" or "onnx".
      parts: of "encoder", "decoder", "sampler"; by default all that the format takes.

    Raises:
      UserError: an unknown part, the sampler in ONNX, or a function that cannot be converted.
    """
    for name in parts:
        if name not in PARTS["stablehlo"]:
            raise unknown("part", name, PARTS["stablehlo"])
        if name not in PARTS[format]:
            raise UserError(
                "The sampler draws random bits, which ONNX does not do alike everywhere: take format='stablehlo', or "
                "draw z from the prior yourself and decode it."
            )
    found = {piece.name: piece for piece in pieces(model, params, config, spec)}
    chosen, files = [found[name] for name in parts or PARTS[format]], []
    for piece in chosen:
        if format == "onnx":
            files.append(onnx.write(folder, piece, examples(piece, model, params, config, spec)))
        else:
            files.append(stablehlo.write(folder, piece))
    functions = {piece.name: _described(piece, file) for piece, file in zip(chosen, files, strict=True)}
    used = {name for each in functions.values() for name in (*each["inputs"], *each["outputs"])}
    index = {
        "name": config["name"], "format": format, "call": CALLS[format], "functions": functions,
        "about": {name: text for name, text in about(config, spec).items() if name in used}, "data": _facts(spec),
        "versions": {name: version(name) for name in ("jaxvae", "jax")},
    }  # fmt: skip
    write_json(folder / INDEX, index)
    return [*files, folder / INDEX]


def _described(piece: Piece, file: Path) -> dict[str, Any]:
    def sizes(arrays: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
        return {name: {"shape": ["batch", *one.shape], "dtype": str(one.dtype)} for name, one in arrays.items()}

    outputs = dict(sorted(piece.outputs.items()))
    return {"file": file.name, "inputs": sizes(piece.inputs), "outputs": sizes(outputs)}


def _facts(spec: DataSpec) -> dict[str, Any]:
    """Return what tells the meaning of tokens, columns and contexts."""
    table = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in spec.table]
    facts = {"vocabulary": list(spec.vocabulary), "columns": table or list(spec.columns)}
    facts["context"] = [field._asdict() for field in spec.context]
    return {name: value for name, value in facts.items() if value}
