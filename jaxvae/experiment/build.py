"""Build a model, an objective and an optimiser from a config's plain dictionaries."""

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError, unknown
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import beside, own
from jaxvae.experiment.beside import network_of
from jaxvae.experiment.checks import check_ranges
from jaxvae.experiment.defaults import SETTINGS
from jaxvae.experiment.fitting_data import check_missing, check_sequence, check_step, check_support
from jaxvae.experiment.optimizer import optimizer
from jaxvae.experiment.parts import PARTS, part
from jaxvae.models.base import Model, context_args, example_batch
from jaxvae.models.two_stage import two_stage
from jaxvae.models.vae import fits
from jaxvae.objectives import Objective, StepContext
from jaxvae.objectives.base import check_groups, check_shapes, needs_fixed_prior
from jaxvae.objectives.stages import of_codes
from jaxvae.posteriors import Posterior
from jaxvae.priors import Prior

__all__ = ["PARTS", "DataSpec", "model", "objective", "optimizer", "part"]


CODES = (-5.0, 5.0)  # range of the codes of a first stage, for parts that ask for one


def model(config: Mapping[str, Any], data: DataSpec) -> Model:
    """Build the model of a config, with sizes from the data; a second stage on its first, see `experiment.stages`.

    Raises:
      UserError: the parts do not fit each other or the data.
    """
    if not config.get("stage"):
        return _model(config, data)
    alone = {name: section for name, section in config.items() if name != "context"}
    first = _model({**alone, **config["stage"]}, data._replace(context=(), context_dim=0))
    codes = DataSpec(first.latent_shape, is_float=True, dtype="float32", value_range=CODES)
    return two_stage(first, _model(config, codes._replace(context=data.context, context_dim=data.context_dim)))


def _model(config: Mapping[str, Any], data: DataSpec) -> Model:
    specs, latent_dim = config["model"], config["model"]["latent_dim"]
    check_ranges({"model": specs})
    if isinstance(specs.get("name"), Model):
        return _of_data(specs["name"], data)
    given = {"latent_dim": latent_dim, "data_shape": data.shape, "levels": data.levels}
    given |= {"pixel_range": data.pixel_range(config), "table": data.table, "total": data.total}
    if data.sequence:
        check_step(specs["likelihood"]["name"], given, data)
    likelihood = part("likelihood", specs["likelihood"], given)()
    check_support(specs["likelihood"]["name"], likelihood, given["pixel_range"], data)
    if data.has_missing or any(field.kind == "pixels" for field in data.context):
        check_missing(specs["likelihood"]["name"], likelihood, given)
    posterior = part("posterior", specs["posterior"], given)()
    given["num_codes"] = posterior.num_codes
    enters = {"encoder": True, "decoder": True, "prior": False} | dict(config.get("context", {}))
    prior = _prior(specs["prior"], given, enters, data)
    if not fits(prior, posterior):
        sized = {**given, "context_size": data.context_dim}
        fitting = [name for name in PARTS["prior"] if _fits_by_default(name, sized, posterior)]
        raise UserError(
            f"The posterior '{specs['posterior']['name']}' has its latents in {posterior.space}, but the prior "
            f"'{specs['prior']['name']}' in {prior.space}. Priors that fit this posterior: {', '.join(fitting)}."
        )
    network = network_of(config["network"], config, given, data)
    check_sequence(config, network, prior, data)
    write = part("decoding", config.get("sample", {}).get("decoding", {"name": "greedy"}))()
    pieces = {
        "posterior": posterior, "prior": prior, "likelihood": likelihood, "network": network,
        "data_shape": data.shape, "write": write, "context_dim": data.context_dim,
        "mask_input": data.has_missing,
        "context_to": tuple(name for name in ("encoder", "decoder") if enters[name]),
    }  # fmt: skip
    options = {key: value for key, value in specs.items() if key not in (*pieces, "latent_dim")}
    spec = {"name": "vae", **options}
    made = part("model", spec, pieces)()
    if made.data.is_sequential:  # refuse a decoding that does not fit now
        params, context = jax.eval_shape(made.init, jax.random.key(0)), example_batch(made, 1).get("context")
        z = jnp.zeros((1, *made.latent_shape))
        jax.eval_shape(lambda params: made.decode(params, z, *context_args(context)).mean, params)
    return made


def _of_data(model: Model, data: DataSpec) -> Model:
    """Return a model that was built for data of this shape; raise UserError for another one."""
    if tuple(model.data_shape) != data.shape:
        raise UserError(f"The model is of data {list(model.data_shape)}, but the examples are {list(data.shape)}.")
    return model


def _prior(spec: Mapping[str, Any], given: Mapping[str, Any], enters: Mapping[str, bool], data: DataSpec) -> Prior:
    """Build the prior: p(z|context) where it always is, or where `context.prior` is True."""
    if not data.context_dim and (enters["prior"] or not enters["encoder"] or not enters["decoder"]):
        raise UserError(
            f"The settings of the section context are {dict(enters)}, but the data has no context: set data.context, "
            "to 'label' for example."
        )
    builder = part("prior", spec, given)
    asked = inspect.signature(builder).parameters.get("context_size")
    takes = asked is not None and (enters["prior"] or asked.default is asked.empty)
    made = builder(context_size=data.context_dim) if takes else builder()
    if enters["prior"] and not made.takes_context:
        able = [name for name, each in PARTS["prior"].items() if "context_size" in inspect.signature(each).parameters]
        raise UserError(
            f"context.prior is True, but the prior '{spec['name']}' does not take a context. Priors that do: "
            f"{', '.join(able)}."
        )
    if data.context_dim and not (enters["encoder"] or enters["decoder"] or made.takes_context):
        raise UserError(
            "context.encoder, context.decoder and context.prior are all False, so that nothing would take the context: "
            "leave data.context empty, or set one of them to True."
        )
    return made


def _fits_by_default(name: str, given: Mapping[str, Any], posterior: Posterior) -> bool:
    try:
        return fits(part("prior", {"name": name}, given)(), posterior)
    except UserError:
        return False


def objective(config: Mapping[str, Any], model: Model, data: DataSpec, total_steps: int) -> Objective:
    """Build the objective of a config, over `model`, for a run of `total_steps`.

    Raises:
      UserError: the parts do not fit each other, a group of parameters has no loss, a loss or a metric has another
        shape than `[B]` or `[]`, or the metric of `train.select` does not exist.
    """
    kl = part("kl", config["kl"], {"total_steps": total_steps})()
    trained = model.stages[-1] if model.stages else model
    given = {"model": trained, "kl": kl, "pixel_range": data.pixel_range(config)}
    builder = part("objective", beside.without_inner(config["objective"]), given)
    made = builder(**beside.arguments(config, builder, trained, data))
    made = of_codes(made, model.stages[0]) if model.stages else made
    if "kl" not in getattr(builder, "keywords", given):  # a built objective has its own weight
        _check_without_kl(config, model)

    def once():
        params, extra = made.init(jax.random.key(0))
        size = max(config["train"]["batch_size"], 1)
        batch = example_batch(model, size)
        ctx = StepContext(jnp.zeros((), jnp.int32), 2, is_training=True)
        out = made.loss(params, extra, batch, jax.random.key(1), ctx)
        check_groups(params, out.losses)
        check_shapes(out, size)
        return out.metrics

    reported = jax.eval_shape(once)  # nothing is computed
    if (name := config["train"].get("select", "loss").removeprefix("-")) not in reported:
        raise UserError(f"train.select: {unknown('metric of this objective', name, reported)}")
    return made


def _check_without_kl(config: Mapping[str, Any], model: Model) -> None:
    """Raise UserError for settings that an objective without a KL would silently ignore."""
    name = config["objective"]["name"]
    unweighted = SETTINGS["kl"].default
    if {**unweighted, **config["kl"]} != unweighted:
        raise UserError(
            f"The objective '{name}' has no KL, so the kl weight '{config['kl']['name']}' would do nothing. Take it "
            "out, or take an objective with a KL: 'elbo', for example."
        )
    frozen = ",".join(config["train"].get("freeze", ())).replace(" ", "").split(",")
    if not own.is_own(name) and "model.prior" not in frozen:  # a user's own objective may still train the prior
        needs_fixed_prior(model, name, "has no term with the prior")
