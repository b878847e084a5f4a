"""The site builds without a warning, has every page, needs no network, and no link in it is broken."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from pages import ROOT

PAGES = {page.stem for page in (ROOT / "docs").glob("*.md")}
NOTEBOOKS = {page.stem for page in (ROOT / "docs" / "notebooks").glob("*.ipynb")}


class Page(HTMLParser):
    """The anchors, the targets of links, and what a browser fetches of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors, self.links, self.assets = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors.add(values.get("id"))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag != "a":
            self.assets += [values[name] for name in ("src", "href") if values.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    options = ("-q", "-W", "-b", "html", "-d", folder / "cache", "docs", folder / "html")
    done = subprocess.run([sys.executable, "-m", "sphinx", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_in_the_table_of_contents():
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), flags=re.S)
    assert sorted(re.findall(r"^\w+$", "".join(trees), flags=re.M)) == sorted(PAGES - {"index"})


def test_no_link_is_broken_and_no_asset_is_elsewhere(site):
    found = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    assert {path.stem for path in found} >= PAGES | NOTEBOOKS
    for path, page in found.items():
        elsewhere = [asset for asset in page.assets if re.match(r"(\w+:)?//", asset)]
        assert elsewhere == [], path.name
        for link in page.links:
            if re.match(r"\w+:", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), f"{path.name}: {link}"
            assert not anchor or target not in found or anchor in found[target].anchors, f"{path.name}: {link}"
    for sheet in (site / "_static").rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet.name


def test_public_names_are_on_the_api_page_with_equations(site):
    text = (site / "api.html").read_text()
    assert 'id="jaxvae.fit"' in text
    of_elbo = text[text.index('id="jaxvae.losses.elbo"') :]
    assert "<math" in of_elbo[: of_elbo.index("</dd>")]
    assert re.search(r"\$\\|\\frac|:math:", text) is None
