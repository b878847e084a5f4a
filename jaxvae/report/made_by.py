"""Write the section of the page on the settings that made a run, and its durations."""

import html
from collections.abc import Mapping
from typing import Any

from jaxvae.experiment import defaults
from jaxvae.experiment.plain import flatten


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


def section(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Return the HTML: durations, the settings that differ from the defaults, and all settings folded away."""
    rows = {key: (_said(value), _said(usual)) for key, (value, usual) in changed(config).items()}
    every = {key: (_said(value),) for key, value in flatten(config).items()}
    times = [
        f"{words} {results[key]:,.1f} s"
        for key, words in (("train_seconds", "training"), ("evaluate_seconds", "evaluation"))
        if isinstance(results.get(key), (int, float))
    ]
    said = f"<p>{html.escape('Time: ' + ', '.join(times))}, on {html.escape(str(results.get('devices', '')))}.</p>"
    return (
        f"<section><h2>Settings</h2>{said if times else ''}"
        f"{_table('settings that differ from the defaults', ('setting', 'value', 'default'), rows)}"
        f"<details><summary>all settings</summary>{_table('', ('setting', 'value'), every)}</details></section>"
    )


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
