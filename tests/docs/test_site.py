"""The site holds every page, builds without a warning and needs no network."""

import re
import subprocess
import sys

import pytest
from pages import ROOT

PAGES = {page.stem for page in (ROOT / "docs").glob("*.md")}


def test_every_page_is_in_the_table_of_contents():
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), flags=re.S)
    assert sorted(re.findall(r"^\w+$", "".join(trees), flags=re.M)) == sorted(PAGES - {"index"})


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("myst_parser", reason="pip install 'jaxvae[docs]'")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-b",
        "html",
        "-d",
        tmp_path / "cache",
        "docs",
        tmp_path / "site",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in PAGES:
        page = (tmp_path / "site" / f"{name}.html").read_text()
        assert not re.search(r'(?:src|<link[^>]* href)="(?:https?:)?//', page), name
    api = (tmp_path / "site" / "api.html").read_text()
    assert 'id="jaxvae.losses.elbo"' in api
    assert 'id="jaxvae.fit"' in api
