"""The first lines of the configs: title with paper, commands, measured numbers, remarks."""

import ast
import re
from pathlib import Path
from typing import NamedTuple


class Header(NamedTuple):
    """The docstring of a config: its title, and the paragraphs after it, commands apart from prose."""

    title: str
    paragraphs: tuple[tuple[bool, str], ...]  # (it holds commands, text)


def docstring(path: Path) -> str:
    """Return the docstring of a Python file, "" without one; the file is not run."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def header(path: Path) -> Header:
    """Read the header of a config."""
    title, _, rest = docstring(path).partition("\n\n")
    paragraphs = (p for p in rest.split("\n\n") if p.strip())
    return Header(
        " ".join(title.split()).removesuffix("."),
        tuple((p.startswith(("python ", "jaxvae ")), p.strip("\n")) for p in paragraphs),
    )


def linked(text: str) -> str:
    """Return text whose numbers of arXiv and DOIs are links."""
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"doi:(10\.[^\s,)]+)", r"[doi:\1](https://doi.org/\1)", text)
