"""The parts of the pages in Markdown that tests look at: blocks of code, commands, links and headings."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("llms.txt")]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """The arguments of each command line `jaxvae ...` or `python launch.py ...` in the blocks of a page."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    found = (re.match(r"\s*(?:jaxvae|(?:srun )?python launch\.py) (.*)", line) for line in lines)
    return [shlex.split(re.sub(r"\$\{?\w+\}?", "1", match[1]), comments=True) for match in found if match]


def links(page: Path) -> list[tuple[str, str]]:
    """The links of a page inside the repository, `(path, anchor)`; code is left out."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [tuple(target.partition("#")[::2]) for target in targets if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
