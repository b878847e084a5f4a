"""Judge validation scores: when to stop early, and whether a longer training would help. Lower scores are better."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LEAST_SHARE = 0.2  # of the gain in the third of training before: less is said to be no improvement
LEAST_GAIN = 0.005  # of the whole gain: less is noise of the validation
LEAST_VALIDATIONS = 6
AGAIN = "fit it again with a larger train.num_epochs; only a run with a workdir goes on where it ended."


class Progress(NamedTuple):
    """The best validation score of a run so far; kept in its checkpoints, so that a resumed run stops at the same step.

    Attributes:
      best: the lowest score; None before the first.
      step: its step.
      since: number of validations after it.
    """

    best: float | None = None
    step: int = 0
    since: int = 0

    def after(self, score: float | None, step: int) -> "Progress":
        """Return the progress after one more validation; a score that is None (not finite) is no better than others."""
        if score is not None and (self.best is None or score < self.best):
            return Progress(score, step, 0)
        return self._replace(since=self.since + 1)

    def is_over(self, patience: int) -> bool:
        """Return whether training stops: after `patience` validations without a better score; never where it is 0."""
        return 0 < patience <= self.since


def read(info: Mapping[str, Any]) -> Progress:
    """Read the progress from the info of a checkpoint; one of an earlier version, or with odd values, has none."""
    found = info.get("progress")
    if not isinstance(found, Mapping) or set(found) != set(Progress._fields):
        return Progress()
    best, step, since = (found[name] for name in Progress._fields)
    numbers = all(type(value) is int and value >= 0 for value in (step, since))
    sound = numbers and (best is None or (type(best) in (int, float) and math.isfinite(best)))
    return Progress(best, step, since) if sound else Progress()


def still_improves(validations: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """Return (gain of the last third of training, its share of the gain of the middle third), where it is worth a word.

    With b(t) the best score at the steps up to t, and T the last step, the gains are b(T/3) - b(2T/3) and b(2T/3) -
    b(T). A score that falls by an exponential law gives the share by which each third is worth less than the one
    before.

    Args:
      validations: `(step, score)` in the order of the steps.

    Returns:
      None where there are fewer than 6 validations, or none in the first third; where the share is below 20 %; or where
      the last gain is below 0.5 % of the gain since the first validation.
    """
    if len(validations) < LEAST_VALIDATIONS:
        return None
    end = validations[-1][0]

    def best(until: float) -> float:
        return min((score for step, score in validations if step <= until), default=math.inf)

    first, second, last = best(end / 3), best(2 * end / 3), best(end)
    middle_gain, gain, whole = first - second, second - last, validations[0][1] - last
    if not math.isfinite(first) or gain <= 0 or gain < LEAST_GAIN * whole or gain < LEAST_SHARE * middle_gain:
        return None
    return gain, gain / middle_gain if middle_gain > 0 else math.inf


def conclusion(
    progress: Progress, validations: Sequence[tuple[int, float]], select: str, patience: int, step: int,
    goes_on: bool = True,
) -> str:  # fmt: skip
    """Return a sentence at the end of training: why it stopped early, or that the metric still improves; else "".

    Args:
      progress: the best score.
      validations: `(step, score)` of the whole run, as for `still_improves`.
      select: the setting `train.select`, whose metric the scores are; negated after a minus sign.
      patience: the setting `train.patience`.
      step: the number of steps done.
      goes_on: whether the run can be resumed; one in memory cannot.
    """
    name = select.removeprefix("-")
    if progress.is_over(patience):
        best = progress.best if progress.best is None or not select.startswith("-") else -progress.best
        shown = "none was finite" if best is None else f"the best, {best:.6g}, was at step {progress.step}"
        return (
            f"Stopped early at step {step}: the validation {name} has not improved in {progress.since} validations; "
            f"{shown}. A train.patience above {patience} lets the run go on{' from here' * goes_on}."
        )
    if (found := still_improves(validations)) is None:
        return ""
    gain, share = found
    of = f", {share:.0%} of its gain in the third before" if math.isfinite(share) else ""
    return f"The validation {name} still improves: by {gain:.3g} in the last third of training{of}. Train longer: " + (
        "the run goes on from here with a larger train.num_epochs." if goes_on else AGAIN
    )
