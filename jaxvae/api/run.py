"""A trained model as one object: encode, sample, judge, draw, save and load it.

Metrics and figures are imported where they are used, so that the import of `jaxvae.fit` is fast.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxvae.api.applied import Applied
from jaxvae.api.drawing import drawn
from jaxvae.common.errors import UserError
from jaxvae.common.types import Params
from jaxvae.data.incoming import as_dataset
from jaxvae.data.own_units import viewed
from jaxvae.data.rows import as_frames
from jaxvae.data.spec import DataSpec
from jaxvae.data.wanted import with_pixels
from jaxvae.experiment.setup import Experiment, built, setup
from jaxvae.models.base import Model
from jaxvae.models.clusters import needs_clusters
from jaxvae.runs.classes import classifier_of, clusters_by
from jaxvae.runs.initial import check_data
from jaxvae.runs.restore import Restored, restored
from jaxvae.runs.storage import Memory, copy_run, write_run
from jaxvae.runs.trained_run import TrainedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure
Rows = list[dict[str, Any]]


class Run:
    """A trained model with all that prepares its data: the result of `jaxvae.fit` and `jaxvae.load`.

    Data goes in as it came (uint8 images, counts, a data frame), values leave in its range: `data.own_units.viewed`.

    Attributes:
      model: `model.encode(params, x)` and so on, for preprocessed x.
      params: its parameters.
      config: the settings, a nested dictionary.
      spec: how the data was prepared.
      history: the rows of training, `{"step", "epoch", "split": "train" or "validation", "loss", ...}`, in nats per
        example.
      workdir: its folder; None for a run in memory.
    """

    def __init__(
        self, restored: Restored, history: Rows, workdir: Path | None = None, storage: Memory | None = None,
        experiment: Experiment | None = None, data: Any = None, objects: Mapping[str, Any] = MappingProxyType({}),
        timing: Mapping[str, Any] = MappingProxyType({}),
    ):  # fmt: skip
        """Put a run together; use `jaxvae.fit` or `jaxvae.load`."""
        self.model: Model = restored.model
        self.params: Params = jax.device_put(restored.params)
        self.config, self.spec, self.history, self.workdir = restored.config, restored.spec, history, workdir
        self._restored, self._storage, self._known, self._data = restored, storage, experiment, data
        self._objects, self._timing = objects, timing
        self._applied = Applied(self.config, self.spec, self.model, self.params, restored.weights["params"])

    def __repr__(self) -> str:
        epochs = f"{self.history[-1]['epoch']:g}" if self.history else "0"
        sizes = f"data {list(self.spec.shape)}, latents {list(self.model.latent_shape)}, {epochs} epochs"
        return f"<jaxvae.Run {self.config['name']}: {sizes}, {self.workdir or 'in memory'}>"

    def __reduce__(self):
        """Pickle what the run is made of; functions are built again."""
        kept = self._restored
        return _assembled, (
            dict(self.config), self.spec, kept.checkpoint, kept.which, self.history, self.workdir, self._storage,
            dict(self._objects), dict(self._timing),
        )  # fmt: skip

    def encode(self, x: Any, context: Any = None, mask: Any = None) -> np.ndarray:
        """Encode data: the mean of q(z|x), `[N, *latent_shape]`.

        Args:
          x: `[N, ...]`, as the training data came; or the path of a file or folder.
          context: of a conditional model, for each example or one for all, in your own terms: a class, a list, a
            dictionary by name; see `jaxvae.data.wanted.wanted`. Left out where it is a quadrant of x.
          mask: bool `[N, *data_shape]`, True where a value is observed.

        Raises:
          UserError: the data does not fit the run.
        """
        return self._applied.encode(x, context, mask)

    def reconstruct(self, x: Any, context: Any = None, mask: Any = None) -> np.ndarray:
        """Reconstruct data from its codes: the means of p(x|z), `[N, *data_shape]`, in the data's own units."""
        return as_frames(self.spec.table, self._applied.reconstruct(x, context, mask))

    def classify(self, x: Any, context: Any = None, mask: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Classify data `[N, ...]` as it came: return the classes `[C]` and their probabilities `[N, C]`.

        Raises:
          UserError: the run has learned no classifier, and its data has no labels or its encoder gets them.
        """
        classes, probs = classifier_of(self._trained)
        named = np.asarray(self.spec.class_names)[classes] if self.spec.class_names else classes
        return named, self._applied.by_batch(probs, x, context, mask)

    def cluster(self, x: Any, context: Any = None, mask: Any = None) -> np.ndarray:
        """Compute the probabilities `[N, C]` of the clusters of data, the components c of a mixture prior: q(c|x)."""
        needs_clusters(self.model, "run.cluster")
        return self._applied.by_batch(clusters_by(self.model, self.params), x, context, mask)

    def decode(self, z: Any, context: Any = None) -> np.ndarray:
        """Decode latents `[N, *latent_shape]`: the means of p(x|z), `[N, *data_shape]`, in the data's own units."""
        return self._shown(self._applied.decode(z, context))

    def sample(
        self, num: int = 64, seed: int | None = None, temperature: float = 1.0, context: Any = None, sampler: Any = None
    ) -> np.ndarray:
        """Sample new data `[num, *data_shape]`: means of p(x|z), of counts and tables draws.

        A conditional model samples `num` examples at each of M contexts, `[M * num, *data_shape]`.

        Args:
          num: number of examples.
          seed: of the draws, by default the run's.
          temperature: scale of the draws of z about the prior's mean.
          context: of a conditional model, one or a list, as for `encode`.
          sampler: of z, by default that of the settings: "gmm", {"name": "gmm", "components": 5} or a built sampler.

        Raises:
          UserError: a number out of range, a conditional model without a context, or the sampler does not fit.
        """
        here = self._restored._replace(params=self.params)
        return self._shown(*drawn(here, lambda: self._trained, num, seed, temperature, context, sampler))

    def log_likelihood(
        self, x: Any, num_samples: int = 100, seed: int = 0, context: Any = None, mask: Any = None
    ) -> np.ndarray:
        """Estimate log p(x) from below by importance weighting, `[N]` nats; with a mask that of the observed values.

        A density is per unit of the data, of pixels per unit of `data.pixel_range`. `num_samples` is K, the draws of z.

        Raises:
          UserError: posterior or likelihood is not a density.
        """
        return self._applied.log_likelihood(x, num_samples, seed, context, mask)

    def impute(self, x: Any, num_draws: int = 0, **options: Any) -> Any:
        """Impute missing values (NaN, or False in `mask=`) by means or M draws: see `applied.Applied.impute`."""
        return self._applied.impute(x, num_draws, **options)

    def _shown(self, x: Any, context: np.ndarray | None = None) -> Any:
        """Convert x to the data's own units, with the pixels of the context; rows of a table to a data frame."""
        return as_frames(self.spec.table, with_pixels(self.spec, viewed(self.config, self.spec, x), context))

    def evaluate(self, metrics: str = "", **settings: Any) -> dict[str, Any]:
        """Compute the test loss and log-likelihood, and metrics by name ("collapse,frechet", or "all" that fit).

        Args:
          metrics: names, separated by commas.
          settings: of the section `evaluate`, `nll_samples=1000` for example; `data=` judges other data, "new.csv" or
            arrays and data frames as those of `jaxvae.fit`: their test set if they have one, else all. `sampler` and
            `temperature`, of metrics that compare samples, are those of `sample`.

        Returns:
          The content of `results.json`: "test" and "metrics" hold the numbers.

        Raises:
          UserError: an unknown metric or setting, another checkpoint, or a metric that cannot be computed.
        """
        from jaxvae.api.judging import judged

        return judged(self._experiment, self._restored, self.config, metrics, settings)

    def plot_curves(self) -> "Figure":
        """Draw the loss and its terms by epoch; save the figure with `figure.savefig(path)`."""
        from jaxvae.report import plots

        if (figure := plots.curves(self.history)) is None:
            raise UserError("There are no curves to draw: the run has no history.")
        return figure

    def plot_latents(self, split: str = "test") -> "Figure":
        """Draw the codes of a split, coloured by label: see `report.maps.scatter`."""
        from jaxvae.report.maps import scatter

        return scatter(self._trained, split)

    def plot_examples(self, x: Any, title: str = "", columns: int = 0) -> "Figure":
        """Draw images as a sheet, music as piano rolls; pairs above one another: see `examples.sheet`."""
        from jaxvae.api.examples import sheet

        return sheet(self.spec, x, title, columns)

    def sentences(self, tokens: Any) -> list[str]:
        """Decode tokens `[N, T]`, which `sample` and `reconstruct` of a run of text return, to N sentences."""
        from jaxvae.api.examples import sentences

        return sentences(self.config, self.spec, tokens)

    def report(self, folder: str | os.PathLike | None = None) -> Path:
        """Evaluate; write `results.json`, `figures/` and `report.html` into the run's folder; return the page's path.

        The run is saved to `folder` first, unless it is there.
        """
        from jaxvae.api.reporting import reported

        return reported(self, self._restored.checkpoint, lambda: self._trained, folder, self._timing)

    def save(self, folder: str | os.PathLike) -> None:
        """Save the run: `jaxvae.load(folder)` and the command line, `--workdir=folder`, take it from there.

        Raises:
          UserError: the folder holds another run.
        """
        if self._storage is not None:
            write_run(self._storage, Path(folder), self.config)
        elif self.workdir is not None:
            copy_run(self.workdir, Path(folder))

    def export(
        self, folder: str | os.PathLike, format: str = "safetensors", parts: Sequence[str] = (), license: str = ""
    ) -> list[Path]:
        """Export the run to a new folder and return the files: see `export.exporting.exported`."""
        from jaxvae.api.export.exporting import exported

        return exported(self, self._restored, lambda: self._trained, folder, format, parts, license)

    @cached_property
    def _experiment(self) -> Experiment:
        if self._known is not None:
            return self._known
        dataset = None if self._data is None else as_dataset(self._data, self.config["data"])
        experiment = setup(self.config, dataset, self._objects)
        check_data(self._restored.info, experiment, self.workdir)
        return experiment

    @cached_property
    def _trained(self) -> TrainedRun:
        return TrainedRun(self._experiment, self._restored)


def _assembled(
    config: dict[str, Any], spec: DataSpec, checkpoint: Any, which: str, history: Rows, workdir: Path | None,
    storage: Memory | None, objects: dict[str, Any], timing: dict[str, Any],
) -> Run:  # fmt: skip
    """Put a run together again, see `Run.__reduce__`."""
    restored_run = restored(config, spec, *built(config, spec, objects), checkpoint, which)
    return Run(restored_run, history, workdir, storage, objects=objects, timing=timing)
