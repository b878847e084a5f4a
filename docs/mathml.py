"""A Sphinx extension: equations in LaTeX become MathML when the site is built, so that pages need no script."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

SPACE = '<mspace width="0.167em" />'
NAME = "<mi>(?:log|exp|min|max|det|cosh|tanh)</mi>"
FIXES = (  # spaces as TeX sets them, and what is no operator
    (r"<mo>([A-Za-z]{2,})</mo>", r"<mi>\1</mi>"),
    (rf"(?<!<msub>)({NAME})(?!</|<mo stretchy=\"false\">|<mrow><mo stretchy=\"true\")", rf"\1{SPACE}"),
    (rf"(</m[in]>|</mfrac>|</msu[bp]>|&#x00029;</mo>)({NAME}|<mtext>[A-Z])", rf"\1{SPACE}\2"),
    (r"<mo>&#x(0007C|02016);</mo>", r'<mo stretchy="false" lspace="0" rspace="0">&#x\1;</mo>'),
    (r"<mi>;</mi>", f"<mi>;</mi>{SPACE}"),
    (r"<mi>&#x(02225|0007E);</mi>", lambda code: f"<mo>&#x{code[1].replace('0007E', '0223C')};</mo>"),
)
logger = logging.getLogger(__name__)


def mathml(latex: str, display: bool = False) -> str:
    """Convert an equation.

    Raises:
      ValueError: a command that the converter does not know.
    """
    code = convert(latex, display="block" if display else "inline")
    if unknown := re.search(r"\\\w+", code):
        raise ValueError(f"{unknown[0]} is not known, in the equation {latex}")
    for pattern, by in FIXES:
        code = re.sub(pattern, by, code)
    return code


def _visit(self: Any, node: nodes.Element) -> None:
    is_block = isinstance(node, nodes.math_block)
    try:
        code = mathml(node.astext(), display=is_block)
    except Exception as error:  # the converter raises its own for each mistake
        logger.warning("%s: %s", type(error).__name__, error, location=node)
        code = node.astext()
    tag = "div" if is_block else "span"
    self.body.append(f'<{tag} class="math">{code}</{tag}>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer "mathml"."""
    app.add_html_math_renderer("mathml", (_visit, None), (_visit, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
