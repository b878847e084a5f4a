"""The pages: no broken link, and every command is one that the command line takes."""

import pytest
from absl import flags
from pages import PAGES, anchors, commands, links

from jaxvae.api.suggestions import check_options
from jaxvae.cli import help as help_
from jaxvae.cli.flags import parse
from jaxvae.cli.main import MODES, _flags
from jaxvae.experiment import configs
from jaxvae.experiment.plain import flatten

NAMES = [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_link_is_broken(page):
    for path, anchor in links(page):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def config_of(argv: list[str]) -> str:
    """The config of a command: the one that it names, or for a finished run that of the run's name; else vae."""
    values = {key: value for key, _, value in (arg.partition("=") for arg in argv)}
    name = values.get("--config", "") or values.get("--workdir", "").removeprefix("runs/").partition("-")[0]
    known = name.partition(":")[0].removeprefix("configs/").removesuffix(".py") in configs.installed()
    return name if known else "vae"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_is_understood(page):
    for argv in commands(page):
        if argv[0] == "compare":
            continue
        if argv[0] == "help":
            assert help_.text(["jaxvae", *argv], flags.FlagValues())
            continue
        rest = [arg for arg in argv if not arg.startswith("--config=")]
        values = _flags()
        config = parse(["jaxvae", f"--config={config_of(argv)}", *rest], values)
        check_options(flatten(config.to_dict()))
        assert values.mode in MODES
