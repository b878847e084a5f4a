"""Untrained models of configs, their exported programs, and a process without jaxvae that runs these."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.api.export import programs
from jaxvae.api.settings import changed
from jaxvae.data.own_units import viewed
from jaxvae.data.quadrants import modelled
from jaxvae.distributions.structure import moments
from jaxvae.experiment import configs
from jaxvae.experiment.plain import with_tuples
from jaxvae.experiment.setup import setup
from jaxvae.models.base import centre, encode_batch
from jaxvae.models.sampling import draw_prior, sample

NUM = 3
FRESH = """
import json, sys
import jax, numpy as np
for folder in sys.argv[1:]:
    for name, about in json.load(open(f"{folder}/export.json"))["functions"].items():
        call = jax.export.deserialize(bytearray(open(f"{folder}/{about['file']}", "rb").read())).call
        with np.load(f"{folder}/{name}.npz") as known:
            for rows in (slice(None), slice(1)):  # a batch of any size
                found = call(*(known[given][rows] for given in about["inputs"]))
                assert sorted(found) == sorted(about["outputs"])
                for output, values in found.items():
                    wanted = known[f"{output}_out"][rows]
                    assert values.shape == wanted.shape and values.dtype == about["outputs"][output]["dtype"]
                    error = np.abs(values - wanted).max() / max(1.0, np.abs(wanted).max())
                    assert error < 1e-4, (folder, name, output, error)
    print(folder)
assert {name.partition(".")[0] for name in sys.modules}.isdisjoint({"jaxvae", "flax", "numpyro", "optax"})
"""


def untrained(name, settings=None):
    """The experiment of a config, and first parameters of its model, moved at random so that no bias is 0."""
    experiment = setup(with_tuples(changed(configs.load(name), settings or {})))
    params, extra = jax.jit(experiment.objective.init)(jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.02 * rng.normal(size=leaf.shape).astype(leaf.dtype), params)
    return experiment, experiment.objective.model_params(params, extra)


def given_and_wanted(experiment, params):
    """By function, inputs `{name: [N, ...]}` and outputs `{name_out: [N, ...]}` by the model itself, not the export."""
    config, spec, model, test = experiment.config, experiment.spec, experiment.model, experiment.dataset.test
    context = {"context": np.asarray(test.context[:NUM], np.float32)} if model.context_dim else {}
    x = np.asarray(test.x[:NUM]).astype(np.int32 if spec.sequence else np.float32)
    if spec.sequence:  # to the length of the longest
        short = x
        x = np.full((NUM, *model.data_shape), -1, np.int32)
        x[:, : short.shape[1]] = short[:, : x.shape[1]]
    binarized = config["data"]["binarization"] != "none"
    x = (x > x.max() / 2).astype(np.float32) if binarized else x
    mask = {"mask": np.random.default_rng(0).random(x.shape) < 0.7} if model.mask_input else {}
    batch = {"x": x if binarized else experiment.preprocess(jax.random.key(0), x), **context, **mask}
    held = modelled(spec.context_names, spec.shape)
    if held is not None:
        batch["mask"] = np.broadcast_to(held, x.shape)

    @jax.jit
    def encode(batch):
        posterior = encode_batch(model, params, batch)
        sd = {} if moments(posterior) is None else {"sd_out": jnp.sqrt(posterior.variance)}
        return {"z_out": centre(posterior), **sd}

    @jax.jit
    def draw(seed, context):
        return sample(model, params, jax.random.key(seed), 1, context=None if context is None else context[None])

    rows = context.get("context")
    z = jax.jit(lambda: draw_prior(model, params, jax.random.key(2), NUM, context=rows))()
    decode = jax.jit(lambda z, *beside: model.decode(params, z, *beside).mean)
    # Row by row, as the programs are functions of one example: a decoding that draws has other noise in each row.
    one = [slice(i, i + 1) for i in range(NUM)]
    decoded = np.concatenate([decode(z[row], *(array[row] for array in context.values())) for row in one])
    made = [draw(i, None if rows is None else rows[i]) for i in (0, 1)]
    two = {name: array[:2] for name, array in context.items()}
    return {
        "encoder": {"x": x, **context, **mask, **encode(batch)},
        "decoder": {"z": z, **context, "x_out": viewed(config, spec, decoded)},
        "sampler": {"seed": np.arange(2, dtype=np.uint32), **two, "x_out": viewed(config, spec, np.concatenate(made))},
    }


def write_with_inputs(folder, experiment, params):
    """Export to StableHLO, with inputs and wanted outputs beside each function."""
    folder.mkdir()
    programs.write(experiment.model, params, experiment.config, experiment.spec, folder, "stablehlo")
    for name, arrays in given_and_wanted(experiment, params).items():
        np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)


def run_fresh(*folders):
    """Run exported functions in a process that imports JAX and NumPy alone; return the folders that agreed."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", FRESH, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
