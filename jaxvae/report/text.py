"""Fill the page's templates, and write paragraphs of HTML."""

import html
from collections.abc import Sequence
from importlib import resources
from string import Template


def asset(name: str, /, **values: str) -> str:
    """Read a file beside this module; with values, fill its placeholders `$name`."""
    text = resources.files("jaxvae.report").joinpath(name).read_text(encoding="utf-8")
    return Template(text).substitute(values) if values else text


def paragraphs(style: str, texts: Sequence[str]) -> str:
    """Return a paragraph for each text, escaped."""
    return "".join(f'<p class="{style}">{html.escape(text)}</p>' for text in texts)
