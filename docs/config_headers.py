"""Text of docstrings for the pages; the first lines of configs: title with paper, commands, numbers, remarks."""

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


def as_markdown(text: str) -> str:
    """Return text of a docstring as Markdown: flags and files are code, papers are links, there is no other markup."""
    text = re.sub(r"(?<![`\w])((?:--[\w.]+|configs/\w+\.py|docs/\w+\.md)\S*?)(?=[\s,;)]|[.:]?(?:\s|$))", r"`\1`", text)
    pieces = re.split(r"(`[^`]*`)", text)
    pieces[::2] = [linked(re.sub(r"([*<\[\]])", r"\\\1", piece)) for piece in pieces[::2]]
    return "".join(pieces)
