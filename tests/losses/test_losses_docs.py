"""The table of docs/losses.md lists every public loss once."""

import re
from pathlib import Path

from jaxvae import losses

PAGE = Path(__file__).resolve().parents[2] / "docs" / "losses.md"


def test_the_table_lists_exactly_the_public_names():
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)) == sorted(losses.__all__)
