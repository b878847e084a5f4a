"""The README is short, and counts what there is."""

import re

import pytest
from pages import ROOT

from jaxvae.api.catalogue import entries
from jaxvae.experiment import configs

TEXT = (ROOT / "README.md").read_text()


def test_it_is_short_and_begins_with_a_picture():
    assert len(TEXT.splitlines()) < 120
    assert TEXT.index("![") < TEXT.index("##")


@pytest.mark.parametrize("kind", ["metric", "sampler", "tool"])
def test_it_counts_parts(kind):
    assert re.findall(rf"(\d+) {kind}s\b", TEXT) == [str(len(entries(kind)))]


def test_it_counts_configs():
    assert re.findall(r"(\d+) configs\b", TEXT) == [str(len(configs.installed()))]
