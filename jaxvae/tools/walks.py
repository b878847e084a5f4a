"""Walk through the latent space: between examples, along dimensions, along attribute vectors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import latent
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.ranges import NONZERO, POSITIVE, check, within
from jaxvae.common.types import Array, Params
from jaxvae.latent import arithmetic
from jaxvae.latent.geodesics import contexts_along
from jaxvae.models.facts import Batch
from jaxvae.runs.trained_run import TrainedRun, some_rows
from jaxvae.tools.base import Labels, Outcome, chosen
from jaxvae.tools.fitted_classifiers import LARGEST, agreement

CODES = 1000  # examples used to order the dimensions


def interpolate(run: TrainedRun, num: int = 8, steps: int = 9, path: str = "linear", first: int = 0) -> Outcome:
    """Interpolate between `num` pairs of test examples; each row begins and ends with the examples themselves.

    Of a conditional model both are encoded at their own context, and each point is decoded at its share of the way
    between the two.

    Args:
      run: the run.
      num: consecutive pairs, from the example `first` on; fewer at the end of the test set.
      steps: points of each path, including the ends.
      path: "linear", "spherical" or "geodesic", as in `latent.interpolate`.
      first: index of the first example.

    Raises:
      UserError: examples outside the test set, or a path that does not suit the latent space.
    """
    if path not in latent.PATHS:
        raise unknown("path of the tool 'interpolate'", path, latent.PATHS)
    check("tool", "interpolate", num=(num, within(1)), steps=(steps, within(2)), first=(first, within(0)))
    size = len(run.dataset.test.x)
    pairs = min(num, (size - first) // 2)
    if pairs < 1:
        raise UserError(
            f"The tool 'interpolate' got first={first} and num={num}, but a pair needs two test examples from `first` "
            f"on, and the test set has the examples 0 to {size - 1}: take a lower `first`."
        )
    batch = run.batch("test", first + 2 * pairs)
    batch = {name: array[first:] for name, array in batch.items()}
    one, other = ({name: array[i::2] for name, array in batch.items()} for i in range(2))
    contexts = one.get("context"), other.get("context")

    @jax.jit
    def walk(params: Params, one: Batch, other: Batch) -> tuple[latent.Curve, Array]:
        masks, contexts = ((one.get(name), other.get(name)) for name in ("mask", "context"))
        ends = one["x"], other["x"]
        curve = latent.interpolate(run.model, params, *ends, steps, path, masks=masks, contexts=contexts)
        return curve, jnp.mean(latent.curve_length(curve.mean))

    curve, length = walk(run.params, one, other)
    along = contexts_along(contexts, steps)
    mean = run.viewed(curve.mean, None if along is None else np.asarray(along))
    rows = np.concatenate([run.examples(one)[:, None], mean, run.examples(other)[:, None]], axis=1)
    title = f"between two test examples x and y, {path} path"
    shares = (f"{round(share, 2):g}" for share in np.linspace(0, 1, steps))
    labels = Labels((), ("x", *shares, "y"), "share of the way from z of x to z of y")
    arrays = {"z": np.asarray(curve.z), "mean": mean}
    numbers = {}
    if not run.experiment.spec.sequence:  # sentences have no distance
        numbers["mean_decoded_length"] = float(length)
    return Outcome(arrays, rows, title, numbers, labels)


def traverse(run: TrainedRun, index: int = 0, num: int = 12, steps: int = 11, span: float = 3.0) -> Outcome:
    """Vary one dimension of z at a time about a test example, the most informative dimensions first.

    A conditional model decodes them at the context of the example.

    Args:
      run: the run.
      index: index of the example.
      num: number of dimensions.
      steps: points per dimension, from -span to span.
      span: in standard deviations of the prior.

    Raises:
      UserError: no such example, or latents that are not in R^n.
    """
    check(
        "tool", "traverse", index=(index, within(0)), num=(num, within(1)), steps=(steps, within(2)),
        span=(span, POSITIVE),
    )  # fmt: skip
    chosen(run, "traverse", index=index)
    batch = run.batch("test", run.some("test", CODES))
    found = arithmetic.information_per_dimension(run.model, run.params, **batch)
    measured, in_nats = map(np.asarray, found)
    order, is_kl = np.argsort(-measured, stable=True)[:num], bool(in_nats)
    z = run.codes("test")[index].reshape(run.model.latent_shape)
    walk = partial(arithmetic.traversal, run.given(index), dims=order.tolist(), span=span, num=steps)
    mean, context = jax.jit(walk)(run.params, z), run.context("test", np.array([index]))
    mean = run.viewed(mean, None if context is None else np.broadcast_to(context, (*mean.shape[:2], context.shape[1])))
    by = "KL from the prior, in nats" if is_kl else "the variance of the codes"
    title = f"test example {index}, one dimension of z changed in each row, ordered by {by}"
    unit, offsets = "nats" if is_kl else "variance", np.linspace(-span, span, steps)
    labels = Labels(
        tuple(f"z[{i}]  {measured[i]:.2f} {unit}" for i in order),
        tuple(f"{round(offset, 2) + 0.0:g}" for offset in offsets),
        "change of z, in standard deviations of the prior",
    )
    arrays = {"dimension": order, "mean": mean, "offset": offsets}
    arrays["kl" if is_kl else "variance"] = measured[order]
    return Outcome(arrays, arrays["mean"], title, labels=labels)


def attribute(
    run: TrainedRun,
    positive: int = 1,
    negative: int = -1,
    num: int = 12,
    steps: int = 8,
    strength: float = 3.5,
    factor: str = "",
) -> Outcome:
    """Move examples towards a class, or away from it, by an attribute vector (arXiv:1512.09300, section 4).

    A conditional model encodes and decodes each example at its own context.

    Args:
      run: the run; its training set needs labels, or factors.
      positive: the class to move towards.
      negative: the class to start from; -1 for all others.
      num: test examples shown, a fixed random subset.
      steps: number of strengths from 0 to `strength`.
      strength: the last one. 1 moves the mean of the other examples onto the mean of the class, and about a third of
        the examples into the class; on MNIST 3.5 moves nine in ten of them into any class. Below 0, examples of the
        class are moved away from it.
      factor: name of a factor whose values are the classes, "Smiling" of CelebA for example, instead of labels.

    `numbers` holds the shares of moved test examples that a scikit-learn classifier, fitted to the training data,
    assigns to the class: `before` (their reconstructions), and `after` at the last strength.

    Raises:
      UserError: no labels, no such class, or latents that are not in R^n.
    """
    check(
        "tool", "attribute", positive=(positive, within(0)), negative=(negative, within(-1)), num=(num, within(1)),
        steps=(steps, within(2)), strength=(strength, NONZERO),
    )  # fmt: skip
    if positive == negative:
        raise UserError(f"The tool 'attribute' got positive={positive} and negative={negative}; they must differ.")
    arithmetic.require_euclidean(run.model, "Arithmetic with attributes")
    labels = {name: run.labels(name, factor) for name in ("train", "test")}
    other = None if negative < 0 else negative
    known = np.arange(len(labels["train"])) if factor else run.labelled("train")
    codes = jnp.asarray(run.codes("train")[known])
    vector = arithmetic.attribute_vector(codes, labels["train"][known], positive, other)
    is_there, named = labels["test"] == positive, run.class_name(positive, factor)
    start = is_there if strength < 0 else ~is_there if other is None else labels["test"] == other
    if not start.any():
        raise UserError(f"There is no test example to move {'from' if strength < 0 else 'to'} class {named}.")
    codes, which = jnp.asarray(run.codes("test")[start]), np.flatnonzero(start)
    contexts = run.context("test", which)
    moved = run.decode(codes + strength * vector, contexts)
    rows = known[some_rows(len(known), LARGEST)]
    before, after = agreement(
        run.compared(run.filled("train", rows)), labels["train"][rows], positive,
        *(run.compared(x) for x in (run.decode(codes, contexts), moved)),
    )  # fmt: skip
    shown_rows = some_rows(len(codes), num)  # the test set may be sorted
    num = len(shown_rows)
    path = arithmetic.move(codes[shown_rows], vector, jnp.linspace(0.0, strength, steps))
    beside = None if contexts is None else np.repeat(contexts[shown_rows], steps, axis=0)
    shown = run.viewed(run.decode(path.reshape(num * steps, -1), beside), beside)
    shown = shown.reshape(num, steps, *run.model.data_shape)
    title = f"{'towards' if strength > 0 else 'away from'} {factor or 'class'} {named}, strength 0 to {strength:g}"
    arrays, numbers = {"vector": np.asarray(vector), "mean": shown}, {"before": before, "after": after}
    labels = Labels(
        (), tuple(f"{round(one, 2):g}" for one in np.linspace(0, strength, steps)), "strength of the vector"
    )
    return Outcome(arrays, shown, title, numbers, labels)


def analogy(run: TrainedRun, a: int = 0, b: int = 1, c: int = 2) -> Outcome:
    """Complete an analogy of test examples, `a` to `b` as `c` to the last image: c + (b - a) on the codes.

    A conditional model decodes the last one at the context of `c`, and the others at their own.

    Args:
      run: a trained run and its data.
      a: number of the first test example, from 0.
      b: that of the second.
      c: that of the third.

    Raises:
      UserError: no such example, or latents that are not in R^n.
    """
    check("tool", "analogy", **{name: (index, within(0)) for name, index in {"a": a, "b": b, "c": c}.items()})
    arithmetic.require_euclidean(run.model, "An analogy")
    rows = chosen(run, "analogy", a=a, b=b, c=c)
    codes, contexts = run.codes("test")[rows], run.context("test", np.array([*rows, c]))
    z = np.concatenate([codes, arithmetic.analogy(*map(jnp.asarray, codes))[None]])
    mean = run.viewed(run.decode(z, contexts), contexts)
    return Outcome({"z": z, "mean": mean}, mean[None], "first is to second as third to fourth")
