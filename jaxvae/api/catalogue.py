"""List every part, metric and tool with its options, described by the docstrings. Imports JAX."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxvae.evaluation.table import METRICS, NEEDS
from jaxvae.experiment.defaults import INNER
from jaxvae.experiment.defaults import PARTS as PATHS
from jaxvae.experiment.parts import PARTS, options_of
from jaxvae.tools import TOOLS

# By kind, the last segment of the setting that selects a part.
BUILDERS: dict[str, Mapping[str, Callable]] = {**PARTS, "tool": TOOLS}
SETTING = {path.rpartition(".")[2]: path for path in (*PATHS, *filter(INNER.get, INNER))}


class Option(NamedTuple):
    """An option of a part: its type, its default, and its meaning, "" where the docstring does not describe it."""

    name: str
    type: str
    default: Any
    about: str


class Entry(NamedTuple):
    """A part: its options, and its docstring without sections."""

    name: str
    about: str
    options: tuple[Option, ...] = ()


def entries(kind: str) -> dict[str, Entry]:
    """Return all parts of a kind, or all metrics."""
    if kind == "metric":
        return {name: _metric(name) for name in METRICS}
    return {name: _entry(kind, name, builder) for name, builder in BUILDERS[kind].items()}


def options_by_part() -> dict[tuple[str, str], list[str]]:
    """Return `{("model.posterior", "hamiltonian"): ["num_steps", ...], ...}` for every built-in part."""
    return {
        (SETTING[kind], name): list(options_of(kind, builder))
        for kind, builders in BUILDERS.items()
        for name, builder in builders.items()
    }


def _entry(kind: str, name: str, builder: Callable) -> Entry:
    text, lines = _read(builder)
    return Entry(name, text, tuple(_option(key, p, lines) for key, p in options_of(kind, builder).items()))


def _option(name: str, parameter: inspect.Parameter, lines: Mapping[str, str]) -> Option:
    given, default = parameter.annotation, parameter.default
    plain = given if given in (bool, int, float, str) else type(default)
    return Option(name, plain.__name__, default, lines.get(name, ""))


def _metric(name: str) -> Entry:
    needs = [NEEDS[need][1].removesuffix(", which the data lacks") for need in METRICS[name].needs]
    text, _ = _read(METRICS[name].compute)
    return Entry(name, text + (f" Needs {' and '.join(needs)}." if needs else ""))


def _read(function: Callable) -> tuple[str, dict[str, str]]:
    """Return a docstring's text before its first section, and the entries of its section `Args`."""
    text, *sections = re.split(r"^(Args|Raises|Returns|Attributes|Examples?|References):$", _doc(function), flags=re.M)
    arguments = dict(zip(sections[::2], sections[1::2], strict=True)).get("Args", "")
    lines = re.findall(r"^ {2,4}(\w+)(?: \(.*?\))?: (.*(?:\n {4,}.*)*)", arguments, flags=re.M)
    return text.strip(), {name: " ".join(about.split()) for name, about in lines}


def _doc(function: Callable) -> str:
    return inspect.getdoc(getattr(function, "func", function)) or ""
