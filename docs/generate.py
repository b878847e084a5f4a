"""Write papers.md, catalogue.md, all_settings.md and parts.md, of configs, docs/catalogue.toml, defaults, docstrings.

python docs/generate.py
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from catalogue_page import catalogue, load
from config_headers import docstring, linked
from settings_pages import all_settings, parts

from jaxvae.api.catalogue import BUILDERS, SETTING, entries
from jaxvae.experiment import configs

DOCS = Path(__file__).parent
HEAD = """# From the paper to the config

Look for a title, an author, a method or an arXiv number; the [catalogue](catalogue.md) shows each config with its
commands. Written by `python docs/generate.py` from the first lines of [configs/](../configs), from
[catalogue.toml](catalogue.toml) and from the docstrings of the parts; a test holds it complete.

```bash
jaxvae --config=vae                      # any name of the first column; from a checkout also python launch.py
jaxvae --config=vae --config.network=conv --config.model.prior=vamp --config.objective.kl_estimate=monte_carlo
jaxvae help prior vamp                   # the whole docstring of a part
```
"""
MEASURED = """
## Configs

Numbers are of the test set of the bundled 8x8 digits with seed 0, losses and NLL in nats per example, unless the cell
says otherwise.
More data sets and seeds: [results.md](results.md).
"""
PARTS = """
## Parts

Every part by its paper, and the configs that use it. Any part may replace another of its kind where the mathematics
allows it. Options: [parts.md](parts.md).
"""
KINDS = (
    "posterior",
    "prior",
    "likelihood",
    "network",
    "objective",
    "discriminator",
    "kl",
    "sampler",
    "decoding",
    "tool",
)
Table = Iterable[str]


def papers() -> str:
    """Return the text of docs/papers.md."""
    about = {name: docstring(path) for name, path in configs.installed().items()}
    notes = notes_of_configs()
    users = _users()
    lines = [HEAD, "## Often confused\n", *_confused(notes), MEASURED, *_configs(about, notes), PARTS]
    for kind in KINDS:
        lines += [f"### {SETTING.get(kind, 'objective.discriminator')}\n", *_parts(kind, users), ""]
    lines += ["## Metrics\n", "How to read each: [evaluation.md](evaluation.md).\n", *_parts("metric", {})]
    return "\n".join(lines) + "\n"


def notes_of_configs() -> dict[str, dict[str, str]]:
    """Read docs/catalogue.toml."""
    return tomllib.loads((DOCS / "catalogue.toml").read_text(encoding="utf-8"))


def _confused(notes: dict[str, dict[str, str]]) -> Table:
    return (
        f"- [`{name}`](catalogue.md#{name}): {note['confused']}." for name, note in notes.items() if "confused" in note
    )


def _configs(about: dict[str, str], notes: dict[str, dict[str, str]]) -> Table:
    yield "| config | model and paper | use it when | measured |\n|---|---|---|---|"
    for name, text in about.items():
        title = " ".join(text.partition("\n\n")[0].split()).removesuffix(".")
        cells = [f"[`{name}`](catalogue.md#{name})", *map(_cell, (title, notes[name]["use"], _measured(text) or "-"))]
        yield f"| {' | '.join(cells)} |"


def _measured(docstring: str) -> str:
    """Return the first comment with a number that a config's header gives beside a command; "" without one."""
    dataset = ""
    for line in docstring.splitlines():
        if command := re.search(r"--config=configs/\w+\.py(:\w+)?", line):
            dataset = (command[1] or "").removeprefix(":")
        comment = line.partition("# ")[2]
        if re.search(r"[A-Za-z:] -?\d+\.\d", comment):
            text = re.sub(r"^(8x8 digits|drawn shapes), bundled: |, \d+ s on 2 cores", "", comment)
            return f"{dataset}: {text}" if dataset else text
    return ""


def _parts(kind: str, users: dict[tuple[str, str], list[str]]) -> Table:
    with_users = kind in BUILDERS and any(key[0] == kind for key in users)
    yield "| name | what it is, and its paper |" + (" configs |" if with_users else "")
    yield "|---|---|" + ("---|" if with_users else "")
    for name, entry in entries(kind).items():
        about = " ".join(entry.about.partition("\n\n")[0].split()).removesuffix(".")
        used = ", ".join(users.get((kind, name), ())) or "-"
        yield f"| `{name}` | {_cell(about)} |" + (f" {used} |" if with_users else "")


def _users() -> dict[tuple[str, str], list[str]]:
    """Return `{(kind, name of a part): configs that use it}`, of the kinds that make a model; of many their number."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in configs.installed():
        config = load(name)
        for kind, path in SETTING.items():
            part = config
            for key in path.split("."):
                part = part.get(key, {})
            if "name" in part and kind in KINDS[: KINDS.index("sampler") + 1]:
                found.setdefault((kind, part["name"]), []).append(f"`{name}`")
    return {key: names if len(names) < 12 else [f"{len(names)} of them"] for key, names in found.items()}


def _cell(text: str) -> str:
    """Return text for a table: numbers of arXiv and DOIs become links, bars are escaped."""
    return re.sub(r"(?<!\\)\|", r"\\|", linked(text))


def pages() -> dict[str, str]:
    """Return the text of each page by its name."""
    return {
        "papers.md": papers(),
        "catalogue.md": catalogue(notes_of_configs()),
        "all_settings.md": all_settings(),
        "parts.md": parts(),
    }


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
