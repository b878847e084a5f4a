"""The page docs/catalogue.md: every config with its picture, paper, parts, commands and numbers."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config_headers import as_markdown, header
from equations import NOTATION, of_parts
from PIL import Image
from settings_pages import anchor, literal

from jaxvae.api.catalogue import BUILDERS
from jaxvae.common.errors import UserError
from jaxvae.experiment import configs

DOCS = Path(__file__).parent
HEAD = """# Catalogue

Every config by name: its paper, when to use it, its parts, and its commands with measured numbers, as its file has
them. The [table of all](papers.md) also lists parts by paper. Written by `python docs/generate.py`.
"""
KINDS = {
    "objective": "objective",
    "kl": "kl",
    "posterior": "model.posterior",
    "prior": "model.prior",
    "likelihood": "model.likelihood",
    "network": "network",
}


def catalogue(notes: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of docs/catalogue.md; notes are those of docs/catalogue.toml."""
    sections = results_by_config((DOCS / "results.md").read_text(encoding="utf-8"))
    found = ("\n".join(_entry(name, path, notes[name], sections)) for name, path in configs.installed().items())
    index = ", ".join(f"[{name}](#{name})" for name in configs.installed())
    return "\n".join((HEAD, NOTATION, f"{index}.\n", *found))


def _entry(name: str, path: Path, note: Mapping[str, str], sections: Mapping[str, list[str]]) -> Iterator[str]:
    about = header(path)
    yield f"## {name}\n\n{as_markdown(about.title)}.\n"
    yield from _picture(name)
    yield f"Use it when {note['use']}.\n"
    if "confused" in note:
        yield f"Often confused: {_with_links(note['confused'], name)}.\n"
    for is_command, text in about.paragraphs:
        yield f"```bash\n{_folded(text)}\n```\n" if is_command else f"{as_markdown(text)}\n"
    yield from _parts(name)
    found = [f"[{title}](results.md#{_anchor(title)})" for title in sections.get(name, ())]
    more = f" More numbers: {', '.join(found)}." if found else ""
    yield f"\nFile: [configs/{name}.py](../configs/{name}.py).{more}\n"


def _with_links(text: str, name: str) -> str:
    """Link the other configs that a note names in backticks."""
    others = configs.installed().keys() - {name}
    return re.sub(r"`(\w+)`", lambda code: f"[{code[0]}](#{code[1]})" if code[1] in others else code[0], text)


def _picture(name: str) -> Iterator[str]:
    path = DOCS / "catalogue" / f"{name}.png"
    if path.exists():
        with Image.open(path) as picture:
            caption = picture.info.get("Description", f"Samples and reconstructions of {name}")
        yield f"![{caption}](catalogue/{name}.png)\n\n*{caption}.*\n"
    lines = path.with_suffix(".txt")
    if lines.exists():
        *shown, caption = lines.read_text(encoding="utf-8").splitlines()
        yield "\n".join(["```text", *shown[:-1], f"```\n\n*{caption}.*\n"])


def _parts(name: str) -> Iterator[str]:
    """Return a list: each part with the options that the config gives, and its equations."""
    config, equations = load(name), of_parts()
    for kind, setting in KINDS.items():
        part = config
        for key in setting.split("."):
            part = part.get(key, {})
        if "name" not in part or (kind == "kl" and not _has_kl(config["objective"]["name"])):
            continue
        options = "".join(f", `{key}={literal(value)}`" for key, value in part.items() if key != "name")
        yield f"- [{kind}](parts.md#{anchor(kind)}) `{part['name']}`{options}"
        yield from (f"  - $\\displaystyle {line}$" for line in equations.get(kind, {}).get(part["name"], ()))


def _has_kl(objective: str) -> bool:
    """Return whether an objective takes a weight of the KL."""
    return "kl" in inspect.signature(BUILDERS["objective"][objective]).parameters


def load(name: str) -> dict[str, Any]:
    """Return a bundled config; one that needs a file of its own as if that file were given."""
    try:
        return configs.load(name)
    except UserError:  # frey
        return configs.load(f"{name}:own")


def results_by_config(text: str) -> dict[str, list[str]]:
    """Return the headings of a page under which each config is named: in backticks, in a path, or first in a row."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        for name in re.findall(r"`(\w+)(?=[ `:])|configs/(\w+)\.py|^\| (\w+)(?=[ ,])", line):
            titles = found.setdefault("".join(name), [])
            if heading not in titles:
                titles.append(heading)
    return found


def _folded(commands: str) -> str:
    """Return commands for a narrow page: comments on lines of their own before them, joined lines as lines again."""
    found: list[list[str]] = []  # by command: comments, then the command
    for line in commands.splitlines():
        command, _, comment = map(str.strip, line.partition("# "))
        if command:
            found.append([re.sub(r" {4,}(?=--)", " \\\\\n    ", command)])
        if comment:
            found[-1].insert(-1, f"# {comment.replace(', bundled', '', 1)}")
    return "\n".join(line for lines in found for line in lines)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
