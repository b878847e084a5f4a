"""Map the codes of the test set: their plane of largest variance, principal components and t-SNE."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread
from jaxvae.report import plots
from jaxvae.report.palette import of_classes
from jaxvae.report.pictures import shrunk, sprite
from jaxvae.report.views import pictures, sentences
from jaxvae.runs.attempts import Failure, attempt
from jaxvae.runs.trained_run import TrainedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 1000  # of a map
THUMBNAIL = 64  # pixels a side, at most
COLUMNS = 40  # of the sheet of thumbnails
MAX_SPRITE = 600_000  # characters of that sheet in the page
CAPTION = 200  # characters of a sentence, at most
AT_A_TIME = 100  # images shrunk
ITERATIONS = 1000  # of t-SNE
FLAT = 1e-6  # a relative spread of the codes below this is float32 rounding


def plane(run: TrainedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the plane of largest variance of the test codes, `(centre [D], axes [2, D], spans [2])`; z if D = 2."""
    codes = run.codes("test")
    if codes.shape[1] == 2:
        return np.zeros(2), np.eye(2), np.maximum(np.abs(codes).max(axis=0), 1e-3)
    centre = codes.mean(axis=0)
    _, _, axes = np.linalg.svd(codes[run.some("test", 5000)] - centre, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2].sum(axis=1, keepdims=True) + 1e-12)
    return centre, axes, np.maximum(np.abs((codes - centre) @ axes.T).max(axis=0), 1e-3)


def latent_map(run: TrainedRun, failures: list[Failure]) -> dict[str, Any]:
    """Return the page's map of test examples, as JSON; `failures` is extended by the parts that are left out.

    The map is z itself where it has at most 2 dimensions, else its principal components and its t-SNE. The codes must
    be finite.
    """
    rows = run.some("test", POINTS)
    codes = run.codes("test")[rows].astype(np.float64)
    centre, axes, _ = plane(run)
    flat = (codes - centre) @ axes.T if codes.shape[1] > 1 else np.column_stack([codes, np.zeros(len(codes))])
    few = codes.shape[1] <= 2
    name, points = "z" if few else "principal components", np.round(flat, 4).tolist()
    axes_names = ["z[0]", "z[1]" if codes.shape[1] == 2 else ""] if few else _shares(codes, flat)
    maps = [{"name": name, "points": points, "axes": axes_names}]
    if codes.shape[1] > 2 and len(codes) > 10:
        found = attempt("The map by t-SNE", failures, lambda: _tsne(codes))
        maps += (
            []
            if found is None
            else [{"name": "t-SNE", "points": np.round(found, 3).tolist(), "axes": ["t-SNE 1", "t-SNE 2"]}]
        )
    out: dict[str, Any] = {"maps": maps, "rows": rows.tolist(), "looks": of_classes(1), "labels": None, "names": []}
    x, captions = run.examples(run.batch("test", rows)), [f"example {row}" for row in rows]
    if run.experiment.spec.sequence == "text":
        captions = sentences(run.config, run.experiment.spec, x)
    elif (label := run.dataset.test.label) is not None:
        classes, index = np.unique(label[rows], return_inverse=True)
        names = [run.dataset.class_names[i] if run.dataset.class_names else str(i) for i in classes]
        out |= {"labels": index.tolist(), "names": names, "looks": of_classes(len(names))}
        captions = [f"label {names[i]}" for i in index]
    out["captions"], out["thumbs"] = [textwrap.shorten(one, CAPTION, placeholder=" …") for one in captions], None
    thumbs = attempt("The map's pictures", failures, lambda: _thumbnails(run, x))
    if thumbs is not None:
        out["thumbs"], out["thumb"] = sprite(thumbs, COLUMNS, THUMBNAIL, MAX_SPRITE)
        out["columns"] = COLUMNS
    return out


def _shares(codes: np.ndarray, flat: np.ndarray) -> list[str]:
    """Name two principal components, with their shares of the variance of the codes `[N, D]`."""
    total = max(codes.var(axis=0).sum(), 1e-30)
    return [f"component {i + 1} ({flat[:, i].var() / total:.0%} of the variance)" for i in range(2)]


def _tsne(codes: np.ndarray) -> np.ndarray:
    spread = codes.std(axis=0).max()
    if spread <= FLAT * np.abs(codes).max():
        raise UserError("the codes of all test examples are the same.")
    codes = (codes - codes.mean(axis=0)) / spread
    perplexity = min(30.0, (len(codes) - 1) / 3)
    options = {"init": "pca", "max_iter": ITERATIONS, "random_state": 0, "n_jobs": 1}
    tsne = require("sklearn.manifold").TSNE(perplexity=perplexity, **options)
    with one_thread():  # several wait for each other: on a busy machine for most of the time
        return tsne.fit_transform(codes).astype(float)


def _thumbnails(run: TrainedRun, x: np.ndarray) -> np.ndarray | None:
    """Return examples as `viewed` as pictures `[N, H, W, 3]`; None where the data has no pictures."""
    spec = run.experiment.spec
    size = len(x) if spec.sequence else AT_A_TIME  # all piano rolls have the same keys
    found = [pictures(spec, x[i : i + size]) for i in range(0, len(x), size)]
    return None if found[0] is None else np.concatenate([shrunk(some, THUMBNAIL) for some in found if some is not None])


def scatter(run: TrainedRun, split: str) -> "Figure":
    """Draw the codes of a split, coloured by label; those of more than two dimensions by principal components.

    Raises:
      UserError: the latents have one dimension, or the latent space is not R^n.
    """
    codes, label = run.codes(split), run.split(split).label
    names = "z[0]", "z[1]"
    if codes.shape[1] != 2:
        centre, axes, _ = plane(run)
        codes, names = (codes - centre) @ np.asarray(axes).T, ("principal component 1", "principal component 2")
    return plots.latent_scatter(codes, label, run.dataset.class_names, names)
