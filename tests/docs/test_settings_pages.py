"""docs/all_settings.md and docs/parts.md have every setting, part and option."""

import settings_pages
from config_headers import as_markdown
from pages import ROOT, anchors

from jaxvae.api.catalogue import BUILDERS, entries
from jaxvae.experiment.defaults import SETTINGS, Setting


def test_every_setting_has_a_row():
    text = (ROOT / "docs" / "all_settings.md").read_text()
    assert [key for key in SETTINGS if text.count(f"\n| `{key}` |") != 1] == []


def test_a_setting_has_its_default_meaning_and_range():
    choices = Setting("a", "way", choices=("a", "b"))
    assert settings_pages._setting("x", choices) == ('`"a"`', "way; `a`, `b`")
    assert settings_pages._setting("x", choices._replace(about="a or b"))[1] == "a or b"
    rate = SETTINGS["optimizer.learning_rate"]
    assert settings_pages._setting("x", rate)[1] == f"{rate.about}; above 0"


def test_every_part_has_its_options_under_its_setting():
    page = ROOT / "docs" / "parts.md"
    sections = dict(part.split("\n", 1) for part in page.read_text().split("\n## ")[1:])
    for kind in (*BUILDERS, "metric"):
        assert settings_pages.anchor(kind) in anchors(page)
        text = sections[settings_pages.heading(kind)]
        for name, entry in entries(kind).items():
            about = text.split(f"**`{name}`**: ")[1].split("\n**`")[0]
            assert [o.name for o in entry.options if f"- `{o.name}=" not in about] == []


def test_values_are_those_of_python():
    assert [settings_pages.literal(v) for v in ("a", 0.1, 1 / 3, 1e-6, (8,), False)] == [
        '"a"',
        "0.1",
        "0.3333",
        "1e-06",
        "(8,)",
        "False",
    ]


def test_docstrings_have_no_markup_but_code_and_links():
    assert as_markdown("a * `b * <c>` <d> [e]") == "a \\* `b * <c>` \\<d> \\[e\\]"
    assert as_markdown("With --config.kl.beta=4, of configs/vae.py: arXiv:1312.6114.") == (
        "With `--config.kl.beta=4`, of `configs/vae.py`: [arXiv:1312.6114](https://arxiv.org/abs/1312.6114)."
    )


def test_every_option_has_a_meaning():
    kinds = set(BUILDERS) - {"optimizer"}  # whose options Optax explains
    found = [(kind, name, o) for kind in kinds for name, each in entries(kind).items() for o in each.options]
    assert len(found) > 200
    assert [(kind, name, option.name) for kind, name, option in found if not option.about] == []
