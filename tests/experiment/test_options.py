"""Options of tools and samplers that make no sense: each is refused by name before anything is read or fitted."""

import pytest

from jaxvae.common.errors import UserError
from jaxvae.experiment.parts import part
from jaxvae.latent.samplers import SAMPLERS
from jaxvae.tools import TOOLS

WHOLE, NOT_NEGATIVE = "must be 1 or more", "must be 0 or more"
OPTIONS = {
    "analogy": {"a": NOT_NEGATIVE, "b": NOT_NEGATIVE, "c": NOT_NEGATIVE},
    "attribute": {
        "positive": NOT_NEGATIVE, "negative": "must be -1 or more", "num": WHOLE, "steps": "must be 2 or more",
        "strength": "must be other than 0",
    },
    "denoise": {"level": NOT_NEGATIVE, "num": WHOLE, "steps": WHOLE},
    "impute": {
        "method": "Known: auto", "mask": "Known: auto", "part": "must be above 0 and below 1", "num": WHOLE,
        "steps": WHOLE, "burn_in": NOT_NEGATIVE, "chains": WHOLE, "nll_samples": NOT_NEGATIVE,
        "samples": WHOLE, "draws": NOT_NEGATIVE,
    },
    "interpolate": {"num": WHOLE, "steps": "must be 2 or more", "path": "Known: geodesic", "first": NOT_NEGATIVE},
    "search": {"target": NOT_NEGATIVE, "num": WHOLE, "steps": WHOLE, "prior_weight": NOT_NEGATIVE},
    "classify": {"num": WHOLE},
    "clusters": {"split": "Known: test, train, validation", "shown": WHOLE},
    "transfer": {"num": WHOLE},
    "transform": {"num": WHOLE},
    "traverse": {"index": NOT_NEGATIVE, "num": WHOLE, "steps": "must be 2 or more", "span": "must be above 0"},
    "prior": {},
    "gmm": {"components": WHOLE, "covariance": "Known: diagonal"},
    "flow": {
        "kind": "Known: autoregressive", "num_flows": WHOLE, "hidden": "whole numbers of 1 or more", "steps": WHOLE,
        "batch_size": WHOLE,
    },
    "two_stage": {"hidden": "whole numbers of 1 or more", "steps": WHOLE, "batch_size": WHOLE},
    "pseudo_inputs": {"components": WHOLE},
    "autoregressive": {
        "hidden": "whole numbers of 1 or more", "embed_dim": WHOLE, "steps": WHOLE, "batch_size": WHOLE,
    },
}  # fmt: skip
FLOATS = {"strength", "level", "part", "span", "prior_weight"}
NAMES = {"method", "mask", "path", "covariance", "kind", "split"}
OF_THE_DATA = {"factor"}  # options whose values only a data set knows
KINDS = {"tool": TOOLS, "sampler": SAMPLERS}
TABLE = [(kind, name, key) for kind, names in KINDS.items() for name in names for key in OPTIONS[name]]


def values(key):
    if key in NAMES:
        return ["", "nonsense"]
    if key == "hidden":
        return [(0,), (8, -1), (2.5,), ("x",)]
    return [] if key == "strength" else [-2, -1000]


def refusal(kind, name, /, **given):
    """What the user is told; the tools have no run to look at, so that none can have begun."""

    def build():
        builder = part(kind, {"name": name, **given}, parts=KINDS)
        return builder(None) if kind == "tool" else builder()

    with pytest.raises(UserError) as error:
        build()
    return str(error.value)


def wrong_types(key):
    if key in NAMES:
        return [3]
    return ["x"] if key == "hidden" else ["many", True, *([] if key in FLOATS else [2.5])]


@pytest.mark.parametrize(("kind", "name", "key"), TABLE)
def test_nonsense_is_refused_by_name(kind, name, key):
    allowed = OPTIONS[name][key]
    zero = [0] if allowed not in (NOT_NEGATIVE, "must be -1 or more") and key not in NAMES | {"hidden"} else []
    for value in values(key) + zero:
        message = refusal(kind, name, **{key: value})
        assert allowed in message
        assert f"'{name}'" in message
        assert f"{key}={value}" in message or f"'{value}'" in message
    for value in wrong_types(key):
        message = refusal(kind, name, **{key: value})
        assert f"{kind} '{name}' got {key}={value!r}; it must be " in message
    if key in FLOATS:
        assert "finite number" in refusal(kind, name, **{key: float("nan")})


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names])
def test_the_table_has_every_option(kind, name):
    message = refusal(kind, name, nothing=1)
    assert f"Unknown option 'nothing' of the {kind} '{name}'" in message
    known = message.split("Known: ")[1].rstrip(".")
    assert set(known.split(", ")) - OF_THE_DATA == (set(OPTIONS[name]) or {"none"})


def test_a_class_cannot_move_towards_itself():
    assert "must differ" in refusal("tool", "attribute", positive=3, negative=3)
