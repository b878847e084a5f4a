"""The table of settings: documented, in their own ranges, and in step with the library that reads them."""

import pytest

from jaxvae import data
from jaxvae.api.settings import changed, check
from jaxvae.common import places
from jaxvae.common.errors import UserError
from jaxvae.data.load import BUNDLED
from jaxvae.data.vocabulary import SEPARATORS
from jaxvae.experiment import build, checks, defaults
from jaxvae.experiment.defaults import KEYS, PARTS, SETTINGS, Part, Setting
from jaxvae.experiment.plain import flatten
from jaxvae.networks.precision import DTYPES
from jaxvae.tools import TOOLS
from jaxvae.train import optimizers, sharding

PLAIN = [key for key, each in SETTINGS.items() if isinstance(each, Setting)]


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_is_documented_and_its_default_allowed(key):
    each = SETTINGS[key]
    assert len(each.about) > 5
    assert not each.about.endswith(".")
    if isinstance(each, Setting):
        assert not each.choices or each.default in each.choices
        assert each.allowed is None or each.allowed.fits(each.default)


def test_numbers_have_a_range_but_for_a_seed_that_is_any():
    numbers = {k for k in PLAIN if type(SETTINGS[k].default) in (int, float)}
    assert {key for key in numbers if SETTINGS[key].allowed is None} == {"sample.seed"}


def test_a_config_has_all_keys_and_the_options_of_default_parts_beside():
    flat = flatten(defaults.get_config("x"))
    assert flat.keys() >= KEYS.keys()
    options = flat.keys() - KEYS.keys()
    assert options == {"network.hidden", "network.activation", "objective.num_samples", "kl.beta"}
    assert all(map(defaults.is_option, options))
    assert not any(map(defaults.is_option, KEYS))


@pytest.mark.parametrize("key", PARTS)
def test_the_default_part_is_there_with_the_options_that_it_has(key):
    kind = key.rpartition(".")[2]
    each = SETTINGS[key]
    assert isinstance(each, Part)
    build.part(kind, each.default, parts={**build.PARTS, "tool": TOOLS})


def test_data_sets_change_settings_that_there_are():
    for sizes in defaults.DATASETS.values():
        assert sizes.keys() <= KEYS.keys()


@pytest.mark.parametrize(
    ("key", "library"),
    [
        ("data.kind", data.KINDS),
        ("data.binarization", data.BINARIZATIONS),
        ("data.sequence.unit", SEPARATORS),
        ("train.compute_dtype", DTYPES),
        ("parallel", sharding.MODES),
    ],
)
def test_choices_are_those_of_the_library(key, library):
    assert set(SETTINGS[key].choices) == set(library)


def test_bundled_data_is_what_the_library_bundles():
    assert set(places.BUNDLED["images"]) == set(BUNDLED)
    assert places.BUNDLED.keys() == set(data.KINDS)
    for kind in ("text", "music"):
        (name,) = places.BUNDLED[kind]
        options = flatten(defaults.get_config("x").data.sequence)
        assert data.load_sequences(kind, name, "", 0.1, options).sequence == kind


@pytest.mark.parametrize("pixel_range", [*data.PIXEL_RANGES, [0.0, 1.0], (0.0, 2.0), (1.0, 0.0), (0.0,)])
def test_pixel_ranges_are_those_of_the_library(pixel_range):
    allowed = SETTINGS["data.pixel_range"].allowed
    assert allowed.fits(pixel_range) == (tuple(pixel_range) in data.PIXEL_RANGES)


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("key", ["learning_rate", "clip_norm", "skip_norm", "ema_decay"])
def test_ranges_of_the_optimizer_are_those_of_the_library(key, value):
    given = {"learning_rate": 0.1, key: value}
    allowed = True
    try:
        optimizers.make_optimizer(optimizers.OPTIMIZERS["adam"], optimizers.constant, total_steps=5, **given)
    except UserError:
        allowed = False
    assert SETTINGS[f"optimizer.{key}"].allowed.fits(value) == allowed


def test_ranges_are_checked_of_what_a_config_has():
    checks.check_ranges({"model": {"latent_dim": 3}})
    checks.check_ranges(defaults.get_config("x").to_dict())
    with pytest.raises(UserError, match="latent_dim is 0; it must be 1 or more"):
        checks.check_ranges({"model": {"latent_dim": 0}})


def test_a_section_of_options_belongs_to_its_part():
    """It is there where it is used alone, is taken by a flag, and goes with the part."""
    plain = defaults.get_config("x").to_dict()
    assert "features" not in plain["objective"]
    made = changed(plain, {"objective.features.run": "runs/a"})
    assert made["objective"]["features"] == {"run": "runs/a"}
    check(made)
    assert defaults.owner("objective.features.run") == defaults.owner("objective.alpha") == "objective"
    assert "features" not in changed(made, {"objective": "iwae"})["objective"]
    assert changed(made, {"objective.features.run": "runs/b"})["objective"]["features"] == {"run": "runs/b"}
    with pytest.raises(UserError, match=r"Unknown config key 'objective\.nothing\.run'"):
        check(changed(plain, {"objective": "elbo"}) | {"objective": {"name": "elbo", "nothing": {"run": ""}}})
