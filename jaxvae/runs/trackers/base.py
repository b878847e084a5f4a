"""Define what a run tells a tracker."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxvae.experiment.plain import flatten


class Tracker(Protocol):
    """Records a run: its settings when it is opened, then metrics, pictures and results."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics of a training step by name, "train/loss" for example; they may be NaN or infinite."""
        ...

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Record an RGB picture `[H, W, 3]`, uint8."""
        ...

    def results(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        """Record the results of the finished run by name, "test/nll" for example, and its figures as files."""
        ...

    def close(self) -> None:
        """Write what is left, and end."""
        ...


def parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a tracker takes them: numbers and texts by name, "kl.beta" for example."""
    return {
        key: value if isinstance(value, int | float | str) else str(value) for key, value in flatten(config).items()
    }
