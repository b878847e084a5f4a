"""Every objective runs the networks in the mode of the step, with dropout in training alone."""

import functools

import jax
import jax.numpy as jnp
import objective_tools as tools
import pytest

from jaxvae.models.base import Training
from jaxvae.objectives import OBJECTIVES, StepContext

TRAINING = StepContext(jnp.asarray(0), 100, is_training=True)
# "contractive" has the Jacobian of the encoder without noise. For ADVERSARIAL see test_adversarial_options.py, for
# OF_LABELS test_objectives_of_labels.py.
NAMES = sorted(OBJECTIVES.keys() - tools.ADVERSARIAL - tools.OF_LABELS - {"contractive"})


def fail(*args, **options):
    raise AssertionError("another mode")


@pytest.mark.parametrize("name", NAMES)
def test_networks_run_in_the_mode_of_the_step(name):
    model = tools.model_for(name)
    in_evaluation = tools.make(name, model._replace(training=Training(fail, fail)))
    in_training = tools.make(name, model._replace(encode=fail, decode=fail))
    key, batch = jax.random.key(1), {"x": tools.X}
    params, extra = jax.eval_shape(in_evaluation.init, key)
    for objective, ctx in ((in_evaluation, tools.CTX), (in_training, TRAINING)):
        out = jax.eval_shape(functools.partial(objective.loss, ctx=ctx), params, extra, batch, key)
        assert out.metrics["loss"].shape in ((5,), ())
    with pytest.raises(AssertionError, match="another mode"):
        jax.eval_shape(functools.partial(in_training.loss, ctx=tools.CTX), params, extra, batch, key)
