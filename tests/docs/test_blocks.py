"""The Python blocks of pages run as written, one after the other, in an empty folder."""

import pytest
from pages import ROOT, blocks

PAGES = ["docs/faq.md", "docs/coming_from.md", "docs/conditional.md", "docs/index.md", "AGENTS.md"]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(blocks(ROOT / page, "python")):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
