"""Write the sections of the page on how to repeat a run, its settings, and its durations."""

import html
from collections.abc import Mapping
from typing import Any

from jaxvae.experiment import defaults, repeating
from jaxvae.experiment.plain import flatten
from jaxvae.report.text import paragraphs
from jaxvae.runs.trained_run import TrainedRun


def changed(config: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return `{key: (value, default)}` of the settings that differ from the defaults of the run's data set.

    A setting without a default, such as an option of a part, has None.
    """
    usual = flatten(defaults.get_config("", config["data"]["name"]))
    given = flatten(config)
    return {
        key: (value, usual.get(key))
        for key, value in given.items()
        if key != "name" and _plain(value) != _plain(usual.get(key))
    }


def section(run: TrainedRun, results: Mapping[str, Any], went_on: int = 0) -> str:
    """Return the HTML: durations, how to repeat the run, and its settings.

    Args:
      run: the run.
      results: the content of `results.json`.
      went_on: how often the run went on with other settings.
    """
    rows = {key: (_said(value), _said(usual)) for key, (value, usual) in changed(run.config).items()}
    every = {key: (_said(value),) for key, value in flatten(run.config).items()}
    return (
        f"<section><h2>How to repeat it</h2>{_repeated(run, results, went_on)}</section>"
        f"<section><h2>Settings</h2>{_durations(results)}"
        f"{_table('settings that differ from the defaults', ('setting', 'value', 'default'), rows)}"
        f"<details><summary>all settings</summary>{_table('', ('setting', 'value'), every)}</details></section>"
    )


def _repeated(run: TrainedRun, results: Mapping[str, Any], went_on: int) -> str:
    config, train = run.config, run.dataset.train
    how, folder = repeating.recipe(config), f"runs/{config['name']}-again"
    paths = [config["data"][key] for key in ("path", "data_dir") if config["data"][key]]
    data = f"{run.dataset.name}{''.join(f' from {path}' for path in paths)}"
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    facts = [
        f"Data: {data}; training set of {len(train.x):,} examples of shape {run.dataset.shape}, checksum "
        f"{run.experiment.data_checksum:08x}, as jaxvae.data.checksum gives it.",
        f"Versions: {versions}; trained parameters may differ in their last bits on other versions or devices.",
    ]
    if went_on:
        facts.insert(0, f"The run went on with other settings {went_on} times (history.jsonl): from its start with the "
                     "last settings it gives other parameters.")  # fmt: skip
    if how is None:
        facts.insert(0, f"No config of jaxvae leads to these settings: copy config.json of this run to {folder}, and "
                     f"start it with jaxvae --workdir={folder}.")  # fmt: skip
        return paragraphs("quiet", facts)
    if how.objects:
        facts.insert(0, f"{', '.join(how.objects)}: given as Python objects, shown as `...`.")
    if how.data == repeating.IN_MEMORY:
        facts.insert(0, "x: the data, which was in memory.")
    line = repeating.command(how, folder)
    texts = ({} if line is None else {"on the command line": line}) | {"in Python": repeating.call(how)}
    code = '<h3>{0}</h3><pre class="code" tabindex="0" aria-label="{0}">{1}</pre>'
    if line is not None:
        facts.insert(0, "From a checkout, python launch.py stands for jaxvae.")
    return "".join(code.format(name, html.escape(text)) for name, text in texts.items()) + paragraphs("quiet", facts)


def _durations(results: Mapping[str, Any]) -> str:
    times = [
        f"{words} {results[key]:,.1f} s"
        for key, words in (("train_seconds", "training"), ("evaluate_seconds", "evaluation"))
        if isinstance(results.get(key), (int, float))
    ]
    return paragraphs("", [f"Time: {', '.join(times)}, on {results.get('devices', '')}."] if times else [])


def _table(caption: str, head: tuple[str, ...], rows: Mapping[str, tuple[str, ...]]) -> str:
    title = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in (key, *values))}</tr>"
        for key, values in rows.items()
    )
    heading = f"<h3>{caption}</h3>" if caption else ""
    return f'{heading}<table class="settings"><thead><tr>{title}</tr></thead><tbody>{body}</tbody></table>'


def _plain(value: Any) -> Any:
    """Convert the tuples of a config to the lists of JSON, so that both are equal."""
    return list(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _said(value: Any) -> str:
    return "-" if value is None else repr(value) if value == "" else str(value)
