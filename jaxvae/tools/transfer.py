"""Transfer examples of a conditional model to other contexts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import check, within
from jaxvae.data.wanted import asked, said, shown_contexts, wanted
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Labels, Outcome
from jaxvae.tools.fitted_classifiers import LARGEST, classifier

CHECKED = 500  # test examples whose transfers are classified


def transfer(run: TrainedRun, num: int = 8) -> Outcome:
    """Encode test examples at their own context, and decode their z at others: what z holds, such as style, is kept.

    The other contexts are those of `sample.context`: by default every class, or the first test examples' contexts.

    Args:
      run: the run, of a conditional model.
      num: test examples, a fixed random subset; `index` in the arrays lists them.

    `numbers` holds, where the labels are the context, `agreement`: the share of transferred test examples that a
    classifier, fitted to the training data, assigns to the class asked for.

    Raises:
      UserError: the model has no context, or fewer than 1 example.
    """
    check("tool", "transfer", num=(num, within(1)))
    spec, model = run.experiment.spec, run.experiment.model
    if not spec.context:
        raise UserError(
            "The tool 'transfer' needs a conditional model: train one with data.context, 'label' for example."
        )
    given, test = asked(run.config), run.dataset.test
    contexts = wanted(spec, run.config["data"], given) if given else shown_contexts(spec.context, test.context)
    decode = jax.jit(lambda params, z, context: model.decode(params, z, context).mean)

    def moved(rows: np.ndarray) -> np.ndarray:
        """Return the examples at all contexts, `[M, rows, *data_shape]`."""
        z = run.codes("test")[rows].reshape(len(rows), *model.latent_shape)
        return np.stack([decode(run.params, z, np.broadcast_to(row, (len(rows), len(row)))) for row in contexts])

    index = run.some("test", num)
    num = len(index)
    mean = np.stack([run.viewed(x, np.tile(row, (num, 1))) for x, row in zip(moved(index), contexts, strict=True)], 1)
    rows = np.concatenate([run.examples(run.batch("test", index))[:, None], mean], axis=1)
    names = [said(spec.context, row) for row in contexts]
    arrays = {"index": index, "context": contexts, "given": np.asarray(names), "mean": mean}
    numbers = {}
    if [field.name for field in spec.context] == ["label"] and not spec.sequence:
        fitted_to = run.labelled("train", LARGEST)
        labels = run.labels("train")[fitted_to]
        predict = classifier(run.compared(run.filled("train", fitted_to)), labels)
        found = [predict(run.compared(x)) for x in moved(run.some("test", CHECKED))]
        values = np.asarray(spec.context[0].values)[contexts.argmax(axis=1)]
        numbers["agreement"] = float(np.mean([np.mean(one == value) for one, value in zip(found, values, strict=True)]))
    labels = Labels(tuple(f"example {i}" for i in index), ("example", *names))
    return Outcome(arrays, rows, "test examples, then the same z at other contexts", numbers, labels)


def transform(run: TrainedRun, num: int = 8) -> Outcome:
    """Move test examples to have other attributes while they stay themselves: `transfer`, of latent constraints.

    The attributes are those of `sample.attributes`. `numbers` has, beside `agreement`, the mean squared `distance` of
    codes moved to their own attributes, in units of the prior: 0 where an example stays as it is.

    Args:
      run: a trained run and its data.
      num: examples.

    Raises:
      UserError: the run was not trained by latent constraints, or fewer than 1 example.
    """
    check("tool", "transform", num=(num, within(1)))
    if not run.model.latent.is_moved:
        raise UserError(
            "The tool 'transform' needs an actor in the latent space of a trained run: train one, "
            "--config=latent_constraints. Of another conditional model take the tool 'transfer'."
        )
    found = transfer(run, num)
    actor, z = run.model.stages[1], jnp.asarray(run.codes("test"))
    moved: Any = jax.jit(lambda params, z, context: actor.decode(params, z, context).mean)
    away = moved(run.params, z, jnp.asarray(run.context("test"))) - z
    numbers = {**found.numbers, "distance": float(jnp.mean(jnp.square(away)))}
    return found._replace(numbers=numbers, title="test examples, then moved to other attributes")
