"""docs/coming_from.md: what its tables name on the right exists, and inline commands and settings are understood."""

import re
import shlex

from pages import ROOT

import jaxvae
from jaxvae.api.catalogue import BUILDERS, entries
from jaxvae.api.suggestions import check_options
from jaxvae.cli.flags import parse
from jaxvae.cli.main import _flags
from jaxvae.experiment import configs
from jaxvae.experiment.defaults import SETTINGS
from jaxvae.experiment.plain import flatten

ROWS = re.findall(r"^\| .* \| (.*) \|$", (ROOT / "docs" / "coming_from.md").read_text(), flags=re.M)
CODE = [piece for row in ROWS for piece in re.findall(r"`([^`]*)`", row)]
PARTS = {name for kind in (*BUILDERS, "metric") for name in entries(kind)}


def test_names_are_those_of_configs_or_parts():
    names = {piece for piece in CODE if re.fullmatch(r"[a-z][a-z0-9_]*", piece)}
    assert len(names) > 30
    assert names <= {*configs.installed(), *PARTS, *SETTINGS}
    options = {
        f"{kind}.{o.name}" for kind in ("network", "objective", "kl") for e in entries(kind).values() for o in e.options
    }
    settings = {piece for piece in CODE if re.fullmatch(r"(network|objective|optimizer|train|data|kl)\.[a-z_]+", piece)}
    assert settings <= {*SETTINGS, *options}


def test_commands_are_understood():
    lines = [piece.removeprefix("jaxvae ") for piece in CODE if piece.startswith(("jaxvae --", "--config"))]
    assert len(lines) > 3
    for line in lines:
        rest = shlex.split(line)
        given = [arg for arg in rest if arg.startswith("--config=")] or ["--config=vae"]
        config = parse(["jaxvae", *given, *(arg for arg in rest if arg not in given)], _flags())
        check_options(flatten(config.to_dict()))


def test_calls_name_public_functions_and_methods():
    for owner, at in (
        (jaxvae.Run, r"\brun\.(\w+)\("),
        (jaxvae, r"\bjaxvae\.(\w+)\("),
        (jaxvae.losses, r"losses\.(\w+)\("),
    ):
        found = set(re.findall(at, " ".join(CODE)))
        assert found, owner
        assert [name for name in found if not hasattr(owner, name)] == []
