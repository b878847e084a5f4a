"""The documentation site, without a network: python -m sphinx -W -b html docs build/site (pip install -e '.[docs]')."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

import jaxvae

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import equations  # noqa: E402

project, release, author = "jaxvae", jaxvae.__version__, "The jaxvae authors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
nb_execution_mode = "off"  # notebooks are shown as they are: docs/run_notebooks.py runs them
html_theme = "furo"
html_title = "jaxvae"
html_math_renderer = "mathml"
html_static_path, html_css_files = ["static"], ["math.css", "notebooks.css"]
html_copy_source = html_show_copyright = smartquotes = False  # two hyphens are a flag, not a dash
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
autodoc_member_order = "alphabetical"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # fields of a named tuple are described in its docstring
EQUATIONS = equations.by_path()


def linked(paper: re.Match) -> str:
    """Return the link of a number of arXiv or a DOI, which napoleon would take for a type before a colon."""
    site = {"arXiv": "arxiv.org/abs", "doi": "doi.org"}[paper[1]]
    return f"`{paper[0]} <https://{site}/{paper[2]}>`__"


def as_rst(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn a docstring into reStructuredText: code in backticks, indented lines as lines, no other markup.

    The equations of a function are set after its first paragraph.
    """
    pieces = re.split(r"(`[^`]*`)", "\n".join(lines))
    for at, piece in enumerate(pieces):
        is_code = at % 2
        text = re.sub(r"([*|])|(?<=\w)(_)(?!\w)", r"\\\1\2", piece)
        pieces[at] = f"`{piece}`" if is_code else re.sub(r"(arXiv|doi):([\d.]+[^\s,;)]*\w)", linked, text)
    head, *rest = re.split(r"^(?=(?:Args|Attributes|Raises|Returns):$)", "".join(pieces), maxsplit=1, flags=re.M)
    head = re.sub(
        r"(?:^ {2,}\S.*\n)+", lambda block: "\n" + re.sub("^ +", "| ", block[0], flags=re.M) + "\n", head, flags=re.M
    )
    summary, *more = head.split("\n\n", maxsplit=1)
    shown = "".join(f"\n\n.. math:: {line}" for line in EQUATIONS.get(name, ()))
    lines[:] = "".join(["\n\n".join([summary + shown, *more]), *rest]).split("\n")


def is_left_out(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Leave out fields of named tuples, which their class describes, and members that other packages define."""
    is_foreign = (getattr(obj, "__module__", None) or "jaxvae").partition(".")[0] not in ("jaxvae", "builtins")
    return True if is_foreign or type(obj).__name__ == "_tuplegetter" else None


def without_folders(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace links to folders of the repository, which the site does not have, by their text."""

    def text(link: re.Match) -> str:
        return link[1] if (ROOT / "docs" / link[2]).is_dir() else link[0]

    source[0] = re.sub(r"\[([^]\n]*)\]\((\.\./[^)#\s]*)\)", text, source[0])


def setup(app: Sphinx) -> None:
    """Connect these functions, the first before napoleon."""
    app.connect("autodoc-process-docstring", as_rst, priority=100)
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("source-read", without_folders)
