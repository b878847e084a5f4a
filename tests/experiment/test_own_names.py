"""Dotted names of parts: what is found, what is refused, and what is imported when."""

import inspect
import sys

import numpy as np
import optax
import pytest
from own_module import bring_in, name

from jaxvae import Model, data, likelihoods, make_model, networks, objectives, posteriors, priors, tools
from jaxvae.cli.modules import bring, trusted
from jaxvae.common.errors import UserError
from jaxvae.distributions import decoding
from jaxvae.evaluation import table
from jaxvae.experiment import defaults, own
from jaxvae.experiment.parts import PARTS, RETURNS, part
from jaxvae.latent import samplers
from jaxvae.likelihoods import Likelihood, bernoulli
from jaxvae.networks import Network, mlp


def posterior(latent_dim: int) -> posteriors.Posterior:
    return posteriors.delta(latent_dim)


def prior(latent_dim: int, scale: float, steps: int = 1) -> priors.Prior:
    del scale, steps
    return priors.standard_normal(latent_dim)


def likelihood() -> Likelihood:
    return bernoulli()


def network(hidden: int = 3) -> "Network":
    return mlp((hidden,))


def objective(model, kl) -> objectives.Objective:
    return objectives.elbo(model, kl)


def judge(width: int = 3) -> networks.DiscriminatorNetwork:
    return networks.mlp_discriminator((width,))


def kl(total_steps: int) -> objectives.KLWeight:
    del total_steps
    return objectives.KL_WEIGHTS["constant"]()


def optimizer(learning_rate) -> optax.GradientTransformationExtraArgs:
    return optax.adam(learning_rate)


def schedule(peak: float, total_steps: int) -> optax.Schedule:
    del total_steps
    return optax.constant_schedule(peak)


def sampler() -> samplers.Sampler:
    return samplers.SAMPLERS["prior"]()


def write() -> decoding.Write:
    return decoding.greedy()


def tool(run, num: int = 2) -> tools.Outcome:
    return tools.Outcome({"z": np.zeros(num)}, np.zeros((1, 1, 2)), str(run))


def metric() -> table.Metric:
    return table.Metric(lambda run: {"size": 3.0}, ("labels",))


def silent(latent_dim: int):
    return priors.standard_normal(latent_dim)


def liar(latent_dim: int) -> priors.Prior:
    return [latent_dim]  # pyright: ignore[reportReturnType]


def failing(latent_dim: int) -> priors.Prior:
    return priors.standard_normal(latent_dim // 0)


def greedy_for_more(model, latent_dim: int) -> priors.Prior:
    del model
    return priors.standard_normal(latent_dim)


def assembled(latent_dim: int) -> Model:
    parts = posteriors.delta(latent_dim), priors.standard_normal(latent_dim), likelihoods.squared_error()
    return make_model(*parts, networks.mlp((4,)), data_shape=(2,))


KINDS = {
    "model": assembled, "posterior": posterior, "prior": prior, "likelihood": likelihood, "network": network,
    "objective": objective, "discriminator": judge,
    "kl": kl, "optimizer": optimizer, "schedule": schedule, "sampler": sampler, "decoding": write,
}  # fmt: skip
GIVEN = {"latent_dim": 3, "learning_rate": 0.1, "peak": 0.1, "total_steps": 5}
OPTIONS = {"prior": {"scale": 2}}


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """This module under a name of its own, imported already."""
    return bring_in(monkeypatch, globals())


@pytest.mark.parametrize("kind", PARTS)
def test_every_kind_of_part_has_its_type_and_can_be_ones_own(kind):
    assert RETURNS.keys() == PARTS.keys() == KINDS.keys()
    builder = part(kind, {"name": name(KINDS[kind].__name__), **OPTIONS.get(kind, {})}, GIVEN)
    if kind != "objective":  # which needs a model
        wanted = next(iter(RETURNS[kind].values()))
        made = builder()
        assert callable(made) if kind in ("schedule", "decoding") else isinstance(made, wanted)


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_of_another_kind_is_refused_before_it_is_called(kind):
    other = "silent" if kind == "prior" else "failing"
    with pytest.raises(UserError) as error:
        part(kind, {"name": name(other)}, GIVEN)
    assert f"The {kind} '{name(other)}' needs a return annotation" in str(error.value)
    assert f"write `def {other}(...) -> {next(iter(RETURNS[kind]))}`" in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("os:system", "needs a return annotation of its type, but has no annotation"),
        ("subprocess:run", "needs a return annotation"),
        ("sys:path", "'path' is not a function in the module 'sys' (built into Python)"),
        (name("number"), "'number' is not a function in the module 'some_users_pkg.parts' (/somewhere/parts.py)"),
        (name("nothing"), "'nothing' does not exist in the module"),
        ("antigravity:fly", "in the module 'antigravity', which is not imported: jaxvae never imports a module"),
        ("jaxvae.priors:vamp", "is in jaxvae itself, whose parts have plain names: give vamp"),
        ("not a module:x", "Unknown prior 'not a module:x'"),
        ("mnist:3.0.1", "Unknown prior 'mnist:3.0.1'"),
        (name("greedy_for_more"), "cannot be built: missing a required argument: 'model'"),
        (name("liar"), "returned an object of type list; it must return jaxvae.priors.Prior"),
    ],
)
def test_names_that_are_refused(given, message):
    with pytest.raises(UserError) as error:
        part("prior", {"name": given}, GIVEN)()
    assert message in str(error.value)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs the option 'scale', which has no default"),
        ({"scale": "wide"}, "got scale='wide'; it must be of type float"),
        ({"scale": float("inf")}, "must be a finite number"),
        ({"scale": 1.0, "steps": 2.5}, "got steps=2.5; it must be of type int"),
        ({"scale": 1.0, "step": 2}, "Did you mean 'steps'? Known: scale, steps."),
        ({"scale": 1.0, "latent_dim": 2}, "Unknown option"),
    ],
)
def test_options_are_checked_by_the_signature(options, message):
    with pytest.raises(UserError) as error:
        part("prior", {"name": name("prior"), **options}, GIVEN)
    assert message in str(error.value)


def test_a_tool_and_a_metric_of_ones_own():
    spec = {"name": name("tool"), "num": 5}
    assert tools.find(spec, "the run")().title == "the run"  # pyright: ignore[reportArgumentType]
    assert tools.resolved({"name": name("tool")}) == {"name": name("tool"), "num": 2}
    assert table.find(name("metric")).compute(None) == {"size": 3.0}  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=r"table[.]Metric`[.]$"):
        table.find(name("tool"))


def test_the_names_of_a_config():
    config = defaults.get_config("mine", "a.b:faces").to_dict()
    assert config["name"] == "mine-faces"
    config["model"]["prior"]["name"] = "c:d"
    config["data"]["path"] = "no:name"
    config["objective"] = {"name": "elbo", "discriminator": {"network": "j.k:judge"}}
    config["evaluate"] |= {"metrics": "collapse, e.f:g,h:i", "outliers": "mnist:3.0.1"}
    assert own.names(config) == {"a.b:faces", "c:d", "e.f:g", "h:i", "j.k:judge"}


def test_the_users_modules_are_those_of_the_config_file_or_of_the_command_line():
    config = defaults.get_config("mine", "a.b:faces").to_dict()
    config["model"]["prior"]["name"] = "c:d"
    assert trusted(["launch.py", "--config=mine.py"], config) == {"a.b", "c"}
    assert trusted(["launch.py", "-config", "mine.py"], config) == {"a.b", "c"}
    alone = ["launch.py", "--workdir=run", "--mode=sample"]
    assert trusted(alone, config) == set()
    assert trusted([*alone, "--config.model.prior=c:d"], config) == {"c"}
    assert trusted([*alone, "--config.model.prior", "c:d"], config) == {"c"}
    assert trusted(alone, config, "c, x.y") == {"c", "x.y"}


def test_failures_of_own_code_are_told_from_the_librarys():
    def error(function, *args):
        try:
            function(*args)
        except Exception as caught:
            return caught
        raise AssertionError

    mine = {f"{__name__}:failing"}
    said = own.failure(error(failing, 3), mine)
    assert f"{__file__}, line {inspect.getsourcelines(failing)[1] + 1}, in failing: ZeroDivisionError: " in said
    assert own.failure(error(failing, 3), {"other:part"}) is None
    assert own.failure(error(data.make_preprocess, 1.0, "none", (3,)), mine) is None  # raised by the library itself


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "fails when it is imported: ZeroDivisionError: division by zero ("),
        ("import no_such_thing", "fails when it is imported: ModuleNotFoundError: No module named 'no_such_thing' ("),
        ("def f(:", "fails when it is imported: SyntaxError: "),
        ("raise SystemExit(3)", "fails when it is imported: SystemExit: 3 ("),
    ],
)
def test_modules_that_fail(tmp_path, monkeypatch, source, message):
    (tmp_path / "failing_module.py").write_text(f"x = 1\n{source}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(UserError) as error:
        bring({"failing_module"})
    assert f"The module 'failing_module' {message}" in str(error.value)
    assert "failing_module.py, line 2)" in str(error.value)


def test_modules_that_there_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for module, missing in (("no_such_thing.parts", "no_such_thing"), ("json.no_such", "json.no_such")):
        with pytest.raises(UserError) as error:
            bring({module})
        assert f"There is no module '{module}' (no '{missing}'), neither installed nor in" in str(error.value)
        assert str(tmp_path) in str(error.value)
