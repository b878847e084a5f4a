"""Pages are what docs/generate.py writes, and complete: every config and every part."""

import tomllib

import generate
from pages import ROOT

from jaxvae.api.catalogue import entries
from jaxvae.experiment import configs


def test_the_pages_are_up_to_date():
    for name, text in generate.pages().items():
        assert (ROOT / "docs" / name).read_text() == text, f"{name}: python docs/generate.py"


def test_every_config_and_every_part_is_named():
    text = (ROOT / "docs" / "papers.md").read_text()
    kinds = ("posterior", "prior", "likelihood", "objective", "network", "metric", "sampler", "tool")
    names = {name for kind in kinds for name in entries(kind)}
    assert len(names) > 100
    assert [name for name in names if f"| `{name}` |" not in text] == []
    assert [name for name in configs.installed() if f"| [`{name}`](" not in text] == []


def test_every_config_has_a_use_and_no_other_name_has():
    notes = tomllib.loads((ROOT / "docs" / "catalogue.toml").read_text())
    assert set(notes) == set(configs.installed())
    assert all(note["use"] and note.keys() <= {"use", "confused"} for note in notes.values())


def test_numbers_keep_their_data_set():
    header = "T.\n\npython launch.py --config=configs/a.py\npython launch.py --config=configs/a.py:mnist  # loss 96.90"
    assert generate._measured(header) == "mnist: loss 96.90"
    assert (
        generate._measured("T.\n\npython launch.py --config=configs/a.py  # 8x8 digits, bundled: loss 1.5")
        == "loss 1.5"
    )
    assert generate._measured("T.\n\npython launch.py --config=configs/a.py  # 8x8 digits, bundled") == ""


def test_papers_become_links():
    assert generate._cell("q(z|x), arXiv:1312.6114") == "q(z\\|x), [arXiv:1312.6114](https://arxiv.org/abs/1312.6114)"
