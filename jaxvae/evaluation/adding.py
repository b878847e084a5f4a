"""Add the results of an evaluation to those that a run has, so that none is lost or mixed with others."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxvae.experiment.changes import may_change
from jaxvae.experiment.plain import flatten

OF_CHECKPOINT = ("checkpoint", "test", "nll_by_samples", "metrics", "made_with")  # the results of one checkpoint


def made_with(config: Mapping[str, Any], step: int, names: Sequence[str]) -> dict[str, Any]:
    """Return the step of the checkpoint and the settings that a metric depends on, those of some sections or keys."""
    return {"step": step} | {key: value for key, value in flatten(config).items() if may_change(key, names)}


def added(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Add the results of an evaluation to the content of `results.json`.

    Metrics of the same checkpoint that were not computed again stay; those computed again are replaced, but the NLL
    stays in "nll_by_samples" for each number of samples. The results of other checkpoints move to "other_checkpoints",
    by step, and come back when that checkpoint is evaluated again.

    Args:
      before: the former content, `{}` without; ignored where it is not the content of a `results.json`.
      now: the results of the evaluation.
    """
    step = now["checkpoint"]["step"]
    others = dict(before.get("other_checkpoints", {}))
    former = {key: before[key] for key in OF_CHECKPOINT if key in before}
    if former and former["checkpoint"]["step"] != step:
        others[str(former["checkpoint"]["step"])] = former
        former = others.get(str(step), {})
    others.pop(str(step), None)
    kept = {name: values for name, values in former.get("metrics", {}).items() if name not in now["metrics"]}
    with_ = {name: _former(before, name) | former.get("made_with", {}).get(name, {}) for name in kept}
    warnings = [str(values["warning"]) for values in kept.values() if values.get("warning")]
    results = {
        **now,
        "metrics": kept | now["metrics"],
        "made_with": with_ | now["made_with"],
        "notes": [*now["notes"], *warnings],
    }
    nlls = _nlls(former) | _nlls(now)
    if len(nlls) > 1:
        results["nll_by_samples"] = nlls
    return results | ({"other_checkpoints": others} if others else {})


def _former(before: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return how an earlier version records the settings of a metric: those of the whole evaluation."""
    if name in before.get("made_with", {}):
        return {}
    return {"step": before["checkpoint"]["step"], **before.get("settings", {})}


def _nlls(results: Mapping[str, Any]) -> dict[str, float]:
    test = results.get("test", {})
    one = {} if test.get("nll") is None else {str(test["nll_samples"]): test["nll"]}
    return {**results.get("nll_by_samples", {}), **one}


def is_sound(results: Mapping[str, Any]) -> bool:
    """Return whether a JSON object has the form of a `results.json`, as far as `added` reads it."""

    def is_one(part: Any) -> bool:
        return (
            isinstance(part, dict)
            and isinstance(part.get("checkpoint"), dict)
            and isinstance(part["checkpoint"].get("step"), int)
            and all(isinstance(part.get(key, {}), dict) for key in OF_CHECKPOINT)
            and all(
                isinstance(one, dict) for key in ("metrics", "made_with") for one in part.get(key, {}).values()
            )
        )  # fmt: skip

    others = results.get("other_checkpoints", {})
    settings = results.get("settings", {})
    return (
        is_one(results)
        and isinstance(settings, dict)
        and isinstance(others, dict)
        and all(map(is_one, others.values()))
    )
