"""Write the texts of `jaxvae --help` and `jaxvae help TOPIC`."""

import ast
import difflib
import textwrap
from collections.abc import Iterable

from absl import flags

from jaxvae.cli import compare, export
from jaxvae.cli.flags import HELP
from jaxvae.common.errors import UserError
from jaxvae.experiment import configs
from jaxvae.experiment.defaults import INNER, PARTS, SETTINGS, Part, Setting

USAGE = """Train, evaluate, sample from or reconstruct with a variational autoencoder.

jaxvae --config=vae                              a model on its default data; from a checkout: python launch.py
jaxvae --config=vae:mnist                        on another data set
jaxvae --config=vae --config.train.num_epochs=5 --workdir=runs/short
jaxvae --config=FILE.py                          your own config file, or one of a checkout: --config=configs/vae.py
jaxvae --workdir=runs/short --mode=sample        a finished run needs no --config
jaxvae compare runs/a runs/b                     a table and curves of several runs; see jaxvae help compare
jaxvae export runs/short                         weights with a model card, or programs; see jaxvae help export, push
jaxvae help posterior                            the parts of a kind with their options"""
COMMANDS = {"compare": compare.USAGE, **export.USAGE}
FLAGS = HELP | {"--helpfull", "--helpshort"}
NAMED = (*PARTS, *filter(INNER.get, INNER))
KINDS = (*(path.rpartition(".")[2] for path in NAMED), "metric")
WIDTH = 120
# Pages that explain sections without a name.
DOCS = {
    "data.options": "own_parts.md", "stage": "labels.md", "classifier": "labels.md",
    "objective.features": "adversarial.md", "features": "adversarial.md",
}  # fmt: skip


def asked(argv: list[str]) -> bool:
    """Return whether a command line asks for help: with a flag, or with `help` as its first word."""
    return bool(FLAGS & set(argv)) or argv[1:2] == ["help"]


def text(argv: list[str], values: flags.FlagValues) -> str:
    """Return the text for `help TOPIC [NAME ...]`, or for all flags and settings.

    Args:
      argv: the command line. TOPIC is a kind of part, with names of parts to select some, or `configs`, or a section of
        the settings.
      values: the flags.

    Raises:
      UserError: an unknown topic or name.
    """
    topics = [word for word in argv[2:] if word not in FLAGS] if argv[1:2] == ["help"] else []
    if not topics:
        topics = ", ".join([*COMMANDS, "configs", *KINDS])
        kinds = _wrapped(f"Topics of 'jaxvae help TOPIC': {topics}, a section of the settings.", 0)
        return f"{USAGE}\n\n{kinds}\n\n{_flags(values)}\n\n{_settings('')}"
    topic, *names = topics
    if topic == "configs":
        return _configs()
    if topic in COMMANDS:
        return COMMANDS[topic]
    kind = _kind(topic)
    if kind:
        return _parts(kind, names)
    if any(key == topic or key.startswith(f"{topic}.") for key in SETTINGS):
        return _settings(topic)
    raise _unknown("topic", topic, [*COMMANDS, "configs", *KINDS, *{key.partition(".")[0] for key in SETTINGS}])


def _flags(values: flags.FlagValues) -> str:
    own = [values[name] for name in values if name not in ("flagfile", "undefok", "?", "help")]
    rows = [(f"--{flag.name}={_shown(flag.default)}", str(flag.help)) for flag in own]
    return "\n".join(["flags, with their defaults:", *_table(rows)])


def _kind(topic: str) -> str:
    """Return `posterior` for posterior, posteriors and model.posterior; "" if the topic is not a kind of part."""
    last = topic.rpartition(".")[2]
    return next((kind for kind in KINDS if last in (kind, f"{kind}s")), "")


def _settings(section: str) -> str:
    """List the settings of a section ("" for all), one a row: key, default, meaning, type and range."""
    rows = [
        (_key(key, each), _about(key, each))
        for key, each in SETTINGS.items()
        if not section or key == section or key.startswith(f"{section}.")
    ]
    head = "settings, each as --config.KEY=VALUE, with its default (data sets may change it):"
    return "\n".join([head, *_table(rows)])


def _key(key: str, each: Setting | Part) -> str:
    if isinstance(each, Part):
        return f"{key}={each.default['name']}" if key in PARTS else key
    return f"{key}={_shown(each.default)}"


def _about(key: str, each: Setting | Part) -> str:
    if isinstance(each, Part):
        beside = ", ".join(f"{name}={_shown(value)}" for name, value in each.default.items() if name != "name")
        more = f"see help {key.rpartition('.')[2]}" if key in NAMED else f"see docs/{DOCS[key]}"
        return f"{each.about}{f' ({beside})' if beside else ''}: {more}"
    kind = " | ".join(each.choices) or type(each.default).__name__
    allowed = f", {each.allowed.allowed}" if each.allowed else ""
    return f"{each.about} [{kind}{allowed}]"


def _configs() -> str:
    rows = []
    for name, path in configs.installed().items():
        about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        rows.append((name, about))
    return "\n".join(["configs that come with jaxvae, each as --config=NAME or --config=NAME:DATASET:", *_table(rows)])


def _parts(kind: str, names: list[str]) -> str:
    from jaxvae.api.catalogue import SETTING, Entry, entries  # imports JAX

    found = entries(kind)
    for name in names:
        if name not in found:
            raise _unknown(kind, name, found)

    def shown(entry: Entry) -> Iterable[str]:
        yield f"\n{entry.name}"
        paragraphs = [" ".join(part.split()) for part in entry.about.split("\n\n")]
        for paragraph in paragraphs if names or kind == "metric" else paragraphs[:1]:
            yield _wrapped(paragraph, 4)
        rows = [(f"{o.name}={_shown(o.default)}", f"{o.about} [{o.type}]".strip()) for o in entry.options]
        yield from _table(rows, indent=8)

    if kind == "metric":
        head = "metrics of a trained run, as --config.evaluate.metrics=NAME,NAME or =all:"
    else:
        path = SETTING[kind]
        head = f"--config.{path}=NAME, with options as --config.{path}.OPTION=VALUE; names and options with defaults:"
    lines = [line for name in names or found for line in shown(found[name])]
    return "\n".join([head, *lines])


def _unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"There is no help on the {what} '{name}'.{hint} Known: {', '.join(sorted(set(known)))}.")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else repr(value)
    return repr(value) if value == "" else str(value).replace(" ", "") if isinstance(value, tuple) else str(value)


def _table(rows: list[tuple[str, str]], indent: int = 2) -> list[str]:
    """Format rows of two columns; a long first entry gets its own line."""
    column = indent + 2 + min(40, max((len(first) for first, _ in rows), default=0))
    lines = []
    for first, second in rows:
        lead = f"{' ' * indent}{first}"
        if len(lead) >= column - 1:
            lines.append(lead)
            lead = ""
        body = _wrapped(second, column)
        lines.append(f"{lead:<{column}}{body.lstrip()}".rstrip())
    return lines


def _wrapped(paragraph: str, indent: int) -> str:
    space = " " * indent
    return textwrap.fill(paragraph, WIDTH, initial_indent=space, subsequent_indent=space, break_on_hyphens=False)
