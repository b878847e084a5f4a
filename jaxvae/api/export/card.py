"""Write the model card of an exported run: Markdown below the metadata that the Hugging Face hub reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvae.evaluation.labels import label
from jaxvae.experiment.defaults import PARTS
from jaxvae.experiment.own import short
from jaxvae.experiment.plain import flatten
from jaxvae.runs.restore import Restored

SHOWN = ("model", "network", "objective", "kl", "optimizer")  # sections of the settings
INSIDE = tuple(f"{path}." for path in PARTS if "." in path)  # parts that have a row of their own
HOW = """import jaxvae

run = jaxvae.load("{place}")  # or the path of a copy of this folder
codes = run.encode(x)  # of data as it came
new = run.sample(16)"""


def card(run: Any, restored: Restored, results: Mapping[str, Any], figures: Sequence[str], license: str = "") -> str:
    """Return the text of `README.md`.

    Args:
      run: a `Run`.
      restored: its checkpoint.
      results: the content of its `results.json`; {} for none.
      figures: paths of pictures in the folder.
      license: an identifier such as "apache-2.0"; "" where none is given.
    """
    name, data = run.config["name"], run.config["data"]
    sizes = ", ".join(map(str, run.spec.shape)), ", ".join(map(str, run.model.latent_shape))
    of_data = short(data["name"]) if not data["path"] else "own data"
    sections = [
        _metadata(run, results, license),
        f"# {name}",
        f"A variational autoencoder of {of_data}: examples [{sizes[0]}], latents [{sizes[1]}], trained for "
        f"{restored.step:,} steps with jaxvae.",
        f"```python\n{HOW.format(place='hf://OWNER/NAME')}\n```",
        "## Parts\n\n" + _table(("part", "name", "options"), _parts(run.config)),
        "## Numbers\n\n" + _numbers(results),
        "## Data\n\n" + _data(run, restored.info, results),
        "## Licence\n\n" + (license or "None is given: ask the author before you use these weights."),
    ]
    if figures:
        sections.append("## Figures\n\n" + "\n\n".join(f"![{path[8:-4]}]({path})" for path in figures))
    sections.append(
        "## Files\n\n`model.safetensors` holds the parameters under dotted names, and what prepares the data in its "
        "metadata; `config.json` all settings, `results.json` all numbers, `metrics.jsonl` the course of training."
    )
    return "\n\n".join(sections) + "\n"


def _metadata(run: Any, results: Mapping[str, Any], license: str) -> str:
    """Return the metadata as YAML, whose values are written as JSON, a part of YAML."""
    fields: dict[str, Any] = {"library_name": "jaxvae", "tags": ["jax", "vae", "variational-autoencoder"]}
    if license:
        fields["license"] = license
    numbers = [{"type": name, "name": label(name), "value": value} for name, value in _test(results).items()]
    if numbers:
        data = {"type": short(run.config["data"]["name"]), "name": short(run.config["data"]["name"]), "split": "test"}
        result = {"task": {"type": "density-estimation"}, "dataset": data, "metrics": numbers}
        fields["model-index"] = [{"name": run.config["name"], "results": [result]}]
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"])


def _test(results: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in results.get("test", {}).items() if value is not None}


def _numbers(results: Mapping[str, Any]) -> str:
    if not results:
        return "The data was not at hand when the run was exported, and no numbers were."
    rows = [(label(name), f"{value:.6g}") for name, value in _test(results).items()]
    notes = "".join(f"\n- {note}" for note in results.get("notes", ()))
    return "Test set, nats per example.\n\n" + _table(("number", "value"), rows) + (f"\n{notes}" if notes else "")


def _parts(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return a row for each part of the model and of its training: the setting, the part's name, its options."""
    flat, rows = flatten(config), []
    for path in (each for each in PARTS if each.partition(".")[0] in SHOWN):
        options = {key.removeprefix(f"{path}."): value for key, value in flat.items() if key.startswith(f"{path}.")}
        name = options.pop("name", "")
        own = {key: value for key, value in options.items() if not any(f"{path}.{key}".startswith(p) for p in INSIDE)}
        if name:
            rows.append((path, f"`{name}`", ", ".join(f"{key}={value}" for key, value in own.items())))
    return rows


def _data(run: Any, info: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    spec, counts = run.spec, results.get("data", {}).get("examples", {})
    checksum = info.get("data_checksum", 0)
    facts = [
        f"{short(run.config['data']['name'])}, examples of shape {list(spec.shape)}"
        + "".join(f", {count:,} for {split}" for split, count in counts.items()),
        f"checksum of the training set {checksum:08x}, as jaxvae.data.checksum gives it",
    ]
    facts += [f"columns: {', '.join(column.name for column in spec.table)}"] if spec.table else []
    facts += [f"conditional on {', '.join(spec.context_names)}"] if spec.context else []
    return "\n".join(f"- {fact}" for fact in facts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([each.replace("|", r"\|") for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
