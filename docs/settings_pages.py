"""The pages docs/all_settings.md, of jaxvae/experiment/defaults.py, and docs/parts.md, of the docstrings of parts."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from config_headers import as_markdown
from equations import NOTATION, of_parts

from jaxvae.api.catalogue import BUILDERS, SETTING, Entry, entries
from jaxvae.experiment.defaults import PARTS, SETTINGS, Part, Setting

ALL_SETTINGS = """# All settings

Each is `--config.KEY=VALUE` on the command line, a keyword of `jaxvae.fit` with `__` for the dot, and a line
`config.KEY = VALUE` in a config. Defaults are those of most data sets. `jaxvae help SECTION` prints the same.
[settings.md](settings.md) explains how settings work together. Written by `python docs/generate.py` from
[defaults.py](../jaxvae/experiment/defaults.py).
"""
ALL_PARTS = """# Parts and their options

Every part with its options and their defaults, as its docstring describes it. Select a part by the setting in the
heading, `--config.model.prior=vamp`; its options follow the dot, `--config.model.prior.components=100`. Papers are in
[papers.md](papers.md), your own parts in [own_parts.md](own_parts.md). Written by `python docs/generate.py`.
"""
HEADINGS = {"discriminator": "objective.discriminator", "features": "objective.features", "metric": "evaluate.metrics"}


def all_settings() -> str:
    """Return the text of docs/all_settings.md."""
    lines = [ALL_SETTINGS]
    for section, keys in _sections().items():
        lines.append(f"## {section}\n\n| setting | default | meaning |\n|---|---|---|")
        lines += [f"| `{key}` | {' | '.join(map(_escaped_bars, _setting(key, SETTINGS[key])))} |" for key in keys]
        lines.append("")
    return "\n".join(lines)


def _sections() -> dict[str, list[str]]:
    """Return the keys of the settings by their first word; words with one setting are together."""
    words = Counter(key.partition(".")[0] for key in SETTINGS)
    found: dict[str, list[str]] = {"single settings": []}
    for key in SETTINGS:
        word = key.partition(".")[0]
        found.setdefault(word if words[word] > 1 else "single settings", []).append(key)
    return found


def parts() -> str:
    """Return the text of docs/parts.md."""
    lines, equations = [ALL_PARTS, NOTATION], of_parts()
    for kind in (*BUILDERS, "metric"):
        lines.append(f"## {heading(kind)}\n")
        found = (_of_optax(entry) if kind == "optimizer" else entry for entry in entries(kind).values())
        lines += [line for entry in found for line in _part(entry, equations.get(kind, {}).get(entry.name, ()))]
    return "\n".join(lines)


def heading(kind: str) -> str:
    """Return the setting that selects a part of a kind."""
    return HEADINGS.get(kind) or SETTING[kind]


def anchor(kind: str) -> str:
    """Return the anchor of a kind on docs/parts.md."""
    return re.sub(r"[^\w-]", "", heading(kind).lower())


def _setting(key: str, each: Setting | Part) -> tuple[str, str]:
    if isinstance(each, Setting):
        said = all(re.search(rf"\b{choice}\b", each.about) for choice in each.choices)
        allowed = each.allowed.allowed if each.allowed else "" if said else ", ".join(f"`{c}`" for c in each.choices)
        more = "; ".join(filter(None, (each.about, allowed)))
        return f"`{literal(each.default)}`", as_markdown(more)
    kind = key.rpartition(".")[2]
    default = f"`{literal(each.default['name'])}`" if key in PARTS and "name" in each.default else ""
    beside = ", ".join(f"`{name}={literal(value)}`" for name, value in each.default.items() if name != "name")
    link = f"; [its parts](parts.md#{anchor(kind)})" if kind in BUILDERS else ""
    return default, f"{as_markdown(each.about)}{f' ({beside})' if beside else ''}{link}"


def _of_optax(entry: Entry) -> Entry:
    """Leave the explanations to the pages of Optax: keep names and defaults."""
    options = tuple(option._replace(about="") for option in entry.options)
    return entry._replace(about=f"`optax.{entry.name}`, explained there, with the options", options=options)


def _part(entry: Entry, equations: Sequence[str]) -> Iterator[str]:
    first, *more = (" ".join(p.split()) for p in entry.about.split("\n\n"))
    yield f"**`{entry.name}`**: {as_markdown(first)}\n"
    yield from (f"```math\n{line}\n```\n" for line in equations)
    yield from (f"{as_markdown(paragraph)}\n" for paragraph in more)
    for option in entry.options:
        about = f": {as_markdown(option.about)}" if option.about else ""
        yield f"- `{option.name}={literal(option.default)}`{about}"
    if entry.options:
        yield ""


def literal(value: object) -> str:
    """Return a value as Python code, strings in double quotes."""
    if isinstance(value, float) and len(repr(value)) > 8:
        return f"{value:.4g}"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _escaped_bars(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)
