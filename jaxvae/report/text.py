"""Fill the page's templates, and write paragraphs of HTML."""

import html
from collections.abc import Sequence
from importlib import resources
from string import Template


def asset(name: str, /, **values: str) -> str:
    """Read a file beside this module; with values, fill its placeholders `$name`."""
    text = resources.files("jaxvae.report").joinpath(name).read_text(encoding="utf-8")
    return Template(text).substitute(values) if values else text


def page(template: str, title: str, **values: str) -> str:
    """Return a whole page: the content of a template, with its `$title` and other placeholders filled."""
    title = html.escape(title)
    return asset("page.html", title=title, style=asset("style.css"), content=asset(template, title=title, **values))


def left_out(texts: Sequence[str]) -> str:
    """Return the section on what could not be shown; "" without."""
    return f"<section><h2>Left out</h2>{paragraphs('quiet', texts)}</section>" if texts else ""


def paragraphs(style: str, texts: Sequence[str]) -> str:
    """Return a paragraph for each text, escaped."""
    return "".join(f'<p class="{style}">{html.escape(text)}</p>' for text in texts)
