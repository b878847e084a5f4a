"""Suggest the known key that is nearest to a misspelt one."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from jaxvae.common.errors import SYNONYMS, UserError
from jaxvae.experiment.defaults import INNER, PARTS, SETTINGS, is_option, named_by, shared


def nearest_key(given: str, known: Iterable[str]) -> str:
    """Return the known key with the same last segment, else one that has all its words, else a similar one; or "".

    `epochs` is near to `train.num_epochs`, `model.beta` to `kl.beta`, and `train.batchsize` to `train.batch_size`.
    """
    last = given.rpartition(".")[2]
    last = SYNONYMS.get(last, last)

    def rank(key: str) -> tuple[float, ...]:
        other = key.rpartition(".")[2]
        alike = _likeness(last, other)
        is_part = set(last.split("_")) <= set(other.split("_"))
        return 3 if last == other else 2 if is_part else alike >= 0.75, alike, _likeness(given, key)

    best = max(known, key=rank, default="")
    return best if best and rank(best)[0] else ""


def unknown_key(given: str, config: Mapping[str, Any]) -> UserError:
    """Make the error for an unknown config key: suggest the nearest, and list all known ones.

    Args:
      given: the key.
      config: the flat config, whose options are known keys too.
    """
    known = known_keys(config, given)
    return UserError(
        f"Unknown config key '{given}'.{_hint(given, known)} Known: {', '.join(known)}. See --help for their meaning, "
        "and 'help posterior', for example, for the options of each part."
    )


def check_options(config: Mapping[str, Any]) -> None:
    """Check before any data is read that each built-in part takes its options. Imports JAX.

    Args:
      config: the flat config.

    Raises:
      UserError: an option that its part does not take; suggests a setting or another part's option.
    """
    from jaxvae.api.catalogue import options_by_part

    known = options_by_part()
    for key in filter(is_option, config):
        path, _, option = key.rpartition(".")
        at = INNER.get(path, "name")
        name = str(config.get(f"{path}.{at}", config.get(f"{shared(path)}.{at}")))
        takes = known.get((shared(path), name))
        if takes is None or option in takes or key in INNER or named_by(key):  # checked when it is built, as own parts
            continue
        section = {key.removeprefix(f"{path}.").partition(".")[0] for key in SETTINGS if key.startswith(f"{path}.")}
        takes = [*takes, *sorted(section)]
        near = difflib.get_close_matches(option, takes, n=1, cutoff=0.6)
        hint = f" Did you mean '{path}.{near[0]}'?" if near else _hint(key, known_keys(config, key))
        kind = shared(path).rpartition(".")[2]
        raise UserError(f"Unknown option '{option}' of the {kind} '{name}'.{hint} Known: {', '.join(takes) or 'none'}.")


def known_keys(config: Mapping[str, Any], but: str) -> list[str]:
    """Return all settings, and the options in a flat config, without the key `but`."""
    names = {f"{part}.name" for part in PARTS}
    return sorted({*SETTINGS, *config} - names - {but})


def _hint(given: str, known: Iterable[str]) -> str:
    if near := nearest_key(given, known):
        return f" Did you mean '{near}'?"
    from jaxvae.api.catalogue import options_by_part  # imports JAX: only where nothing else is near

    owners: dict[str, list[str]] = {}
    for (path, name), takes in options_by_part().items():
        for option in takes:
            owners.setdefault(f"{path}.{option}", []).append(name)
    near = nearest_key(given, owners)
    return f" Did you mean '{near}', an option of {', '.join(owners[near])}?" if near else ""


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
