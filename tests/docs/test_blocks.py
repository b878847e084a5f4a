"""The Python blocks of pages run as written, one after the other, in an empty folder."""

import pytest
from pages import ROOT, blocks

NAMES = ("faq", "coming_from", "conditional", "export", "zoo", "index")
PAGES = [*(f"docs/{name}.md" for name in NAMES), "AGENTS.md"]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(blocks(ROOT / page, "python")):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
