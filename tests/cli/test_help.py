"""`--help` and `help TOPIC`: every setting, every part and every option, with defaults, types and docstrings."""

import inspect
import time

import pytest

from jaxvae.api.catalogue import BUILDERS
from jaxvae.cli.main import main
from jaxvae.evaluation.table import METRICS
from jaxvae.experiment.defaults import SETTINGS, Part
from jaxvae.experiment.parts import options_of


@pytest.fixture
def helped(capsys):
    """`(*words) -> text` of a call that must succeed."""

    def text(*words):
        assert main(["jaxvae", *words], time.time()) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    return text


def unwrapped(text):
    return " ".join(text.split())


def test_help_shows_every_setting_with_its_meaning_and_no_tags(helped):
    text = helped("--help")
    plain = unwrapped(text)
    for key, each in SETTINGS.items():
        default = each.default.get("name") if isinstance(each, Part) else each.default
        assert f"\n  {key}{'' if default is None else '='}" in text, key
        assert each.about in plain
        if not isinstance(each, Part) and not each.choices:
            assert f"{each.about} [{type(each.default).__name__}" in plain
    assert "train.batch_size=128" in text
    assert "data.binarization=none binarisation of pixels [none | threshold | dynamic | static]" in plain
    assert "optimizer.learning_rate=0.001 learning rate, the peak of its schedule [float, above 0]" in plain
    assert "--workdir='' folder of the run" in plain
    assert "!!" not in text
    assert "undefok" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_help_alone_is_the_flag(helped):
    assert helped("help") == helped("--help") == helped("--config=vae", "-h")


def test_help_of_a_section_shows_that_section(helped):
    text = helped("help", "train")
    assert "train.num_epochs" in text
    assert "evaluate." not in text
    assert helped("help", "data.workers").count("\n") == 2


@pytest.mark.parametrize("kind", BUILDERS)
def test_help_of_a_kind_shows_its_parts_with_their_options(helped, kind):
    text = helped("help", kind)
    assert text == helped("help", f"{kind}s")
    for name, builder in BUILDERS[kind].items():
        block = text.partition(f"\n\n{name}\n")[2].partition("\n\n")[0]
        assert len(block.split()) > 1, f"{name} has no docstring"
        for option, parameter in options_of(kind, builder).items():
            assert f"{option}=" in block
            if isinstance(parameter.default, int | str) and parameter.default != "":
                assert f"{option}={parameter.default}" in block


def test_help_of_one_part_says_all_that_its_docstring_says(helped):
    text = helped("help", "posterior", "hamiltonian")
    assert "num_steps=3     leapfrog steps, K. [int]" in text
    assert "step_size=0.05  initial step size of each dimension" in text
    assert "arXiv:1805.11328" in text
    assert "tempering are learned from these initial values" in text
    assert "planar_flow" not in text
    assert "model.posterior" in text
    about = unwrapped(helped("help", "tools", "impute")).partition(" chains=16 ")[2].partition(" [int]")[0]
    assert len(about) > 10
    assert f" chains: {about} " in unwrapped(inspect.getdoc(BUILDERS["tool"]["impute"]))


def test_help_of_metrics_says_what_each_needs(helped):
    text = helped("help", "metrics")
    for name in METRICS:
        assert len(text.partition(f"\n\n{name}\n")[2].partition("\n\n")[0].split()) > 3, name
    assert "Needs true factors." in unwrapped(text)
    assert "Needs images [height, width, channels] and data of which no value is missing" in unwrapped(text)


def test_help_of_configs_shows_the_first_line_of_each(helped):
    text = helped("help", "configs")
    assert "\n  iwae " in text
    assert "IWAE, one stochastic layer: 784-200-200-50, tanh (Burda et al. 2015, arXiv:1509.00519, table 1)." in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["posteriro"],
            "no help on the topic 'posteriro'. Did you mean 'posterior'? Known: classifier, compare, configs",
        ),
        (["posterior", "hamiltonain"], "the posterior 'hamiltonain'. Did you mean 'hamiltonian'? Known: delta"),
    ],
)
def test_help_on_what_there_is_not(capsys, words, said):
    assert main(["jaxvae", "help", *words], time.time()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
