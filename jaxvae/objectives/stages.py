"""Train a model of the codes of another, fixed one."""

import jax

from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.models.base import Model, encode_batch
from jaxvae.models.facts import Batch
from jaxvae.models.two_stage import FIRST, codes, init_first, spread
from jaxvae.objectives.base import Classes, Loss, Objective, StepContext


def of_codes(objective: Objective, first: Model) -> Objective:
    """Give an objective the codes of a trained model as its data (Kingma et al. 2014, arXiv:1406.5298, section 3.3).

    In training x is a draw of q(z1|x), otherwise its centre. The parameters of the first model are the state
    `extra["first"]`: no gradient changes them, and a checkpoint holds them. Bounds are of log p(z1).

    Args:
      objective: of the second model, whose data has the shape of the first one's latents.
      first: the first model, see `models.two_stage`.
    """

    def inner(extra: Tree) -> Tree:
        return {name: state for name, state in extra.items() if name != FIRST}

    def encoded(extra: Tree, batch: Batch, key: Key | None) -> Batch:
        rest = {name: array for name, array in batch.items() if name != "mask"}
        seen = {name: batch[name] for name in ("x", "mask") if name in batch}
        posterior = encode_batch(first, extra[FIRST], seen)
        return {**rest, **spread(posterior), "x": codes(posterior, key)}

    def init(key: Key) -> tuple[dict[str, Params], Tree]:
        params, extra = objective.init(key)
        return params, {**extra, FIRST: init_first(first, jax.random.fold_in(key, 1))}

    def loss(params: dict[str, Params], extra: Tree, batch: Batch, key: Key, ctx: StepContext) -> Loss:
        code_key = jax.random.fold_in(key, 2**31 - 5) if ctx.is_training else None
        out = objective.loss(params, inner(extra), encoded(extra, batch, code_key), key, ctx)
        return out._replace(extra={**out.extra, FIRST: extra[FIRST]})

    def model_params(params: dict[str, Params], extra: Tree) -> Params:
        return {**objective.model_params(params, inner(extra)), FIRST: extra[FIRST]}

    def log_probs(params: dict[str, Params], extra: Tree, batch: Batch) -> Array:
        assert objective.classes is not None
        return objective.classes.log_probs(params, inner(extra), encoded(extra, batch, None))

    classes = objective.classes and Classes(objective.classes.values, log_probs)
    return Objective(init, loss, objective.whole_batch, model_params, classes, objective.loops)
