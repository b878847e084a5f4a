"""What a run tells when it is done: test metrics, results.json, a short table, pictures."""

import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxvae
from jaxvae import figures, sharding, train
from jaxvae.build import DataSpec
from jaxvae.data import to_unit_range
from jaxvae.evaluate import mean_over, nll_metrics, objective_metrics
from jaxvae.experiment import Experiment
from jaxvae.model import centre, reconstruct, sample
from jaxvae.types import Array, Params
from jaxvae.workdir import Restored, read_metrics, write_json

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpyro", "orbax-checkpoint", "numpy")
PICTURES = 64
RECONSTRUCTIONS = "test data, each row above its reconstructions"


def finish(experiment: Experiment, workdir: Path, restored: Restored, timing: Mapping[str, Any]) -> None:
    """Evaluates on the test set, writes `results.json` with the `timing` of training and `figures/`, prints a table."""
    clock = time.perf_counter()
    results = evaluate_test(experiment, restored)
    if jax.process_index() != 0:
        return
    results |= {**timing, "evaluate_seconds": time.perf_counter() - clock}
    write_json(workdir / "results.json", results)
    print(table(results))
    written = draw(experiment, workdir, restored.params)
    files = "results.json, metrics.jsonl, config.json, checkpoints/, tensorboard/, figures/"
    print(f"wrote {workdir}/: {files} ({', '.join(written)})")


def evaluate_test(experiment: Experiment, restored: Restored) -> dict[str, Any]:
    """The content of `results.json` but its times: nats per example on the test set, None where none exists."""
    config, dataset, model = experiment.config, experiment.dataset, experiment.model
    settings, parallel = config["evaluate"], sharding.global_view()
    key = train.streams(config["seed"])["test"]
    objective_key, nll_key = jax.random.split(key)
    params, extra = restored.weights["params"], restored.weights["extra"]
    trees = parallel.replicate((params, extra, np.int32(experiment.total_steps)))
    per_example = partial(objective_metrics, experiment.objective, experiment.preprocess, len(dataset.train.x))
    test = dict.fromkeys(("loss", "elbo", "reconstruction", "kl", "nll", "nll_samples"))
    test |= mean_over(dataset.test, per_example, parallel, objective_key, settings["batch_size"])(*trees)
    notes = []
    grey = (
        config["model"]["likelihood"]["name"] == "bernoulli"
        and config["data"]["binarization"] == "none"
        and not _is_binary(dataset.test.x, dataset.max_value)
    )
    if model.has_likelihood:
        count = settings["nll_samples"]
        per_example = partial(nll_metrics, model, experiment.preprocess, count, settings["memory_mb"])
        estimate = mean_over(dataset.test, per_example, parallel, nll_key, settings["batch_size"])
        nll = estimate(parallel.replicate(restored.params))
        test |= nll
        test["nll_samples"] = count
        if model.likelihood.is_discrete and not grey:
            test["bits_per_dim"] = nll["nll"] / (math.prod(dataset.shape) * math.log(2))
    else:
        notes.append(
            "elbo and nll are null: the posterior or the reconstruction loss is no density, so nothing here "
            "bounds log p(x)."
        )
    test, broken = _finite(test)
    if broken:
        notes.append(
            f"{', '.join(broken)} came out as NaN or infinite, here null: look for extreme values in the data."
        )
    if grey:
        notes.append(
            "The pixels are grey: the cross-entropy of grey pixels is what is minimised, but comparable only with "
            "itself, not with likelihoods of binarised data."
        )
    steps = len(dataset.train.x) // config["train"]["batch_size"]
    return {
        "test": test,
        "unit": "nats per example",
        "notes": notes,
        "checkpoint": {"which": settings["checkpoint"], "step": restored.step, "epoch": restored.step / steps},
        "data": {
            "name": config["data"]["name"],
            "shape": list(dataset.shape),
            "examples": {name: len(getattr(dataset, name).x) for name in ("train", "validation", "test")},
            "binarization": config["data"]["binarization"],
            "pixel_range": list(config["data"]["pixel_range"]),
        },
        "num_parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "devices": f"{jax.device_count()} {jax.devices()[0].platform}",
        "versions": {"jaxvae": jaxvae.__version__} | {name: version(name) for name in PACKAGES},
    }


def _finite(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """JSON has no NaN: the values with None in its place, and the names of those."""
    broken = [name for name, value in values.items() if value is not None and not math.isfinite(value)]
    return {name: None if name in broken else value for name, value in values.items()}, broken


def _is_binary(x: np.ndarray, max_value: float) -> bool:
    parts = (x[i : i + 1024] for i in range(0, len(x), 1024))  # the first grey one ends the search
    return all(bool(((part == 0) | (part == max_value)).all()) for part in parts)


def table(results: Mapping[str, Any]) -> str:
    """The test metrics as a few lines of text."""
    test = results["test"]
    names = {
        "loss": "loss (minimised)", "elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL",
        "nll": f"NLL, {test['nll_samples']} importance samples" if test["nll"] is not None else "NLL",
    }  # fmt: skip
    names |= {name: name.replace("_", " ") for name in test if name not in names and name != "nll_samples"}
    used = results["checkpoint"]
    lines = [f"test set, nats per example; checkpoint '{used['which']}', step {used['step']}"]
    lines += [
        f"  {label:<32}" + (f"{test[name]:10.3f}" if test[name] is not None else "         -")
        for name, label in names.items()
    ]
    return "\n".join(lines + [f"  note: {note}" for note in results["notes"]])


def sheets(experiment: Experiment, params: Params) -> dict[str, np.ndarray]:
    """Pictures of samples and of reconstructions beside their inputs; `{}` where the data is not made of images.

    The latents of the samples are the same at every call, so that one sees how training changes what they become.
    """
    config, split = experiment.config, experiment.dataset.test
    key = train.streams(config["seed"])["sample"]
    if not figures.are_images(experiment.dataset.shape):
        return {}
    drawn = figures.as_pictures(_unit(config, experiment.spec, sample(experiment.model, params, key, PICTURES)))
    x, reconstruction = _reconstructions(experiment, params, split.x[:PICTURES])
    pairs = figures.beside(figures.as_pictures(x), figures.as_pictures(reconstruction))
    return {"samples": figures.tile(drawn, 8), "reconstructions": pairs}


def draw(experiment: Experiment, workdir: Path, params: Params) -> list[str]:
    """Everything in `figures/`; returns the names of the files."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    config, model, test = experiment.config, experiment.model, experiment.dataset.test
    written = ["curves.png"]
    figures.save_curves(folder / "curves.png", read_metrics(workdir))
    titles = {"samples": "samples from the prior", "reconstructions": RECONSTRUCTIONS}
    for name, sheet in sheets(experiment, params).items():
        figures.save_sheet(folder / f"{name}.png", sheet, titles[name])
        written.append(f"{name}.png")
    if model.latent_shape == (2,):
        codes = np.concatenate([centre(model.encode(params, x)) for x in _batches(experiment, test.x)])
        figures.save_latent_scatter(folder / "latent_scatter.png", codes, test.label)
        written.append("latent_scatter.png")
        grid = None
        if figures.are_images(model.data_shape):
            grid = figures.latent_grid(model, params)
        if grid is not None:
            sheet = figures.tile(figures.as_pictures(_unit(config, experiment.spec, grid)), 20, gap=0)
            figures.save_sheet(
                folder / "latent_grid.png",
                sheet,
                "decoder means over the prior's quantiles of z[0] (right) and z[1] (up)",
            )
            written.append("latent_grid.png")
    return written


def write_samples(config: Mapping[str, Any], workdir: Path, restored: Restored) -> None:
    """`--mode=sample`: `samples.npz` with "x" in [0, 1], and its picture."""
    settings = config["sample"]
    key = train.streams(config["seed"] if settings["seed"] < 0 else settings["seed"])["sample"]
    x = sample(restored.model, restored.params, key, settings["num"], settings["temperature"])
    _write_arrays(workdir, "samples", "samples from the prior", x=_unit(config, restored.spec, x))


def write_reconstructions(experiment: Experiment, workdir: Path, restored: Restored) -> None:
    """`--mode=reconstruct`: `reconstructions.npz` with "x" and "reconstruction" in [0, 1], and its picture."""
    raw = experiment.dataset.test.x[: experiment.config["sample"]["num"]]
    x, reconstruction = _reconstructions(experiment, restored.params, raw)
    _write_arrays(workdir, "reconstructions", RECONSTRUCTIONS, x=x, reconstruction=reconstruction)


def _write_arrays(workdir: Path, name: str, title: str, **arrays: np.ndarray) -> None:
    if jax.process_index() != 0:
        return
    np.savez(workdir / f"{name}.npz", allow_pickle=False, **arrays)
    written = [workdir / f"{name}.npz"]
    if figures.are_images(next(iter(arrays.values())).shape[1:]):
        pictures = [figures.as_pictures(x) for x in arrays.values()]
        sheet = figures.tile(pictures[0], 8) if len(pictures) == 1 else figures.beside(pictures[0], pictures[1])
        written.append(workdir / "figures" / f"{name}.png")
        written[-1].parent.mkdir(exist_ok=True)
        figures.save_sheet(written[-1], sheet, title)
    print(f"wrote {', '.join(map(str, written))}")


def _unit(config: Mapping[str, Any], spec: DataSpec, x: Any) -> np.ndarray:
    return np.asarray(to_unit_range(x, tuple(config["data"]["pixel_range"]) or spec.stored_range))


def _reconstructions(experiment: Experiment, params: Params, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (x,) = _batches(experiment, raw, len(raw))
    both = x, reconstruct(experiment.model, params, x)
    one, other = (_unit(experiment.config, experiment.spec, values) for values in both)
    return one, other


def _batches(experiment: Experiment, raw: np.ndarray, size: int = 1024) -> Iterator[Array]:
    """Stored values as the model sees them, one batch at a time."""
    key = train.streams(experiment.config["seed"])["test"]
    for i in range(0, len(raw), size):
        yield experiment.preprocess(jax.random.fold_in(key, i), jax.numpy.asarray(raw[i : i + size]))
