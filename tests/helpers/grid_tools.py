"""What the tests of the grid share: small models and data for every config, and the contract that they keep."""

import copy
import functools
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
from objective_tools import ADVERSARIAL, CTX, OF_CLUSTERS, OF_LABELS, PERCEPTUAL

from jaxvae import data, train
from jaxvae.common.columns import Column
from jaxvae.common.errors import UserError
from jaxvae.data.context import Field
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, defaults

CONFIGS = sorted(
    path.stem for path in pathlib.Path("configs").glob("*.py") if path.stem not in ("__init__", "base", "flags")
)
IMAGES = np.random.default_rng(0).integers(0, 17, (32, 8, 8, 1)).astype(np.uint8)
BATCH, STEPS = 8, 3


def sequences(*shape, num_levels):
    """Whole numbers with padding of -1 after random lengths; tokens end with 0."""
    rng = np.random.default_rng(0)
    x = rng.integers(1 if len(shape) == 1 else 0, num_levels, (32, *shape)).astype(np.int32)
    for row, length in zip(x, rng.integers(1, shape[0] + 1, 32), strict=True):
        if len(shape) == 1:
            row[length - 1] = 0
        row[length:] = -1
    return x


RNG = np.random.default_rng(1)
TABLE = (
    Column("a", "real"), Column("b", "positive"), Column("c", "count"),
    Column("d", "ordinal", "int", (1, 2, 3), 0.5, 0.5, (0.4, 0.4, 0.2)),
    Column("e", "categorical", "text", ("p", "q", "r"), frequencies=(0.5, 0.4, 0.1)),
    Column("f", "binary", "text", ("n", "y"), 0.5, 0.5, (0.5, 0.5)),
)  # fmt: skip
# By data.kind: examples, and what a model must know of them.
EXAMPLES = {
    "images": (IMAGES, DataSpec((8, 8, 1), 17)),
    "text": (
        sequences(6, num_levels=9),
        DataSpec((6,), 9, sequence="text", vocabulary=("<eos>", "<unk>", *"abcdefg")),
    ),
    "music": (sequences(6, 5, num_levels=2), DataSpec((6, 5), 2, sequence="music")),
    "table": (
        np.stack([RNG.normal(size=32), RNG.lognormal(size=32), *RNG.integers(0, 2, (4, 32))], axis=1).astype(
            np.float32
        ),
        DataSpec((6,), is_float=True, value_range=(-3.0, 9.0), table=TABLE),
    ),
}
CONTEXT = np.eye(3, dtype=np.float32)[np.arange(32) % 3]
LABEL = np.where(np.arange(32) % 2, np.arange(32) % 3, -1).astype(np.int32)
FIELDS = (Field("label", "class", 3, (0, 1, 2)),)
# Options that keep every part small here; they change no code path.
SMALL = {
    "gumbel_softmax": {"categories": 3},
    "vector_quantized": {"codebook_size": 4, "code_dim": 2},
    "finite_scalar": {"grid": (3, 2)},
    "planar_flow": {"num_flows": 2},
    "radial_flow": {"num_flows": 2},
    "inverse_autoregressive_flow": {"hidden": (4,), "context_dim": 3},
    "hamiltonian": {"num_steps": 2},
    "mixture_of_gaussians": {"components": 3},
    "nested_mixture": {"noise_dim": 1, "components": 3, "hidden": (4,)},
    "vamp": {"components": 3},
    "flow": {"num_flows": 2, "hidden": (4,)},
    "autoregressive_codes": {"hidden": (4,), "embed_dim": 2},
    "discretized_logistic_mixture": {"components": 2},
    "iwae": {"num_samples": 3},
    "ciwae": {"num_samples": 3},
    "miwae": {"num_bounds": 2, "num_samples": 2},
    "piwae": {"num_bounds": 2, "num_samples": 2},
    "implicit": {"noise_dim": 2, "num_features": 4, "hidden": (4,)},
    **{name: {"discriminator": {"network": "mlp", "hidden": (8,)}} for name in ADVERSARIAL},
    "image_autoencoder": {  # the bias has no slope within the hinge's margins
        "discriminator": {"network": "mlp", "hidden": (8,)},
        "start": 0,
        "loss": "non_saturating",
    },
}
# The feature network of perceptual losses; a run would fill this in from the classifier's run.
FEATURES = {"part": "classifier", "network": {"name": "conv", "channels": (4, 4)}, "likelihood": {"name": "bernoulli"},
            "outputs": 3, "shape": (8, 8, 1), "levels": 17, "pixel_range": (0.0, 1.0), "mask_input": False}  # fmt: skip
WITHOUT_CONFIG = {"autoregressive_codes"}
# What goes with a posterior where nothing else is said.
PRIOR_OF = {
    "gumbel_softmax": "uniform_categorical", "vector_quantized": "uniform_categorical",
    "finite_scalar": "uniform_categorical", "von_mises_fisher": "uniform_sphere", "wrapped_normal": "wrapped_normal",
}  # fmt: skip
ANALYTIC = {"diagonal_gaussian", "full_covariance", "gumbel_softmax", "vector_quantized", "finite_scalar",
            "von_mises_fisher"}  # fmt: skip
COUNTS = {"poisson", "negative_binomial"}
LEGAL = {
    ("posterior", "prior"): 50,  # of 130
    ("posterior", "objective"): 183,  # of 325
    ("posterior", "likelihood"): 156,
    ("prior", "objective"): 121,  # of 250
    ("likelihood", "objective"): 280,
    ("kl", "objective"): 78,  # of 125
}


def named(name):
    return {"name": name, **SMALL.get(name, {})}


def config_of(**parts):
    """A config with these parts, and others that go with them."""
    config = defaults.get_config("test").to_dict()
    posterior = parts.get("posterior", "delta" if parts.get("objective") in ("reconstruction", "rae") else "")
    posterior = posterior or {"uniform_sphere": "von_mises_fisher", "wrapped_normal": "wrapped_normal",
                              "uniform_categorical": "finite_scalar", "autoregressive_codes": "finite_scalar",
                              }.get(parts.get("prior", ""), "diagonal_gaussian")  # fmt: skip
    objective = parts.get("objective", {"delta": "reconstruction", "implicit": "avb"}.get(posterior, "elbo"))
    usual = "mixture_of_gaussians" if objective in OF_CLUSTERS else "standard_normal"
    prior = parts.get("prior", PRIOR_OF.get(posterior, usual))
    likelihood = parts.get("likelihood", "bernoulli")
    config["model"] = {"latent_dim": 3, "posterior": named(posterior), "prior": named(prior),
                       "likelihood": named(likelihood)}  # fmt: skip
    config["network"] = {"name": "mlp", "hidden": (8,), "activation": "tanh"}
    config["objective"] = named(objective)
    config["kl"] = {"name": parts.get("kl", "constant")}
    if objective in PERCEPTUAL:
        config["features"], config["objective"]["features"] = FEATURES, {"run": "somewhere"}
    if objective == "elbo" and (posterior not in ANALYTIC or prior not in (*PRIOR_OF.values(), "standard_normal")):
        config["objective"]["kl_estimate"] = "monte_carlo"
    config["data"]["pixel_range"] = () if likelihood in COUNTS else (0.0, 1.0)
    return conditional(config) if prior == "conditional_normal" or objective in OF_LABELS else config


def conditional(config):
    """The same with a context, and priors that take it: pseudo-inputs are encoded at the context of each example."""
    config["data"]["context"] = "label"
    config["context"]["prior"] = config["model"]["prior"]["name"] in ("mixture_of_gaussians", "flow", "vamp")
    return config


def batch_of(config, rows):
    x = jnp.asarray(EXAMPLES[config["data"]["kind"]][0])[rows]
    batch = {"x": x} | ({"context": jnp.asarray(CONTEXT)[rows]} if config["data"]["context"] else {})
    if config["objective"]["name"] in OF_LABELS:
        batch["label"] = jnp.asarray(LABEL)[rows]
    if config["data"]["missing"]:
        batch["mask"] = jnp.arange(x.size).reshape(x.shape) % 5 > 1  # in each column some are missing, not all
    return batch


def incomplete(config):
    """The same config, on data with missing values."""
    return {**config, "data": {**config["data"], "missing": 0.5}}


def small(config):
    """A config file's settings with little parts."""
    config = copy.deepcopy(config)
    for spec in (config["model"]["posterior"], config["model"]["prior"], config["objective"]):
        spec |= {key: value for key, value in SMALL.get(spec["name"], {}).items() if key != "num_samples"}
        if spec.get("num_samples", 1) > 3:
            spec["num_samples"] = 3
    small_network(config["network"])
    config["features"] = FEATURES if config["objective"]["name"] in PERCEPTUAL else {}
    config["model"]["latent_dim"] = min(config["model"]["latent_dim"], 3)
    if config["network"].get("latent_channels"):  # at 2 x 2 positions
        config["network"]["latent_channels"] = config["model"]["posterior"].get("code_dim", 1)
        config["model"]["latent_dim"] = 4
    return config


def small_network(spec):
    """Changes a network's sizes, and nothing else, to little ones."""
    if spec["name"] == "mlp":
        spec["hidden"] = (8,) * len(spec["hidden"])
    if spec["name"] in ("lstm", "hierarchical"):
        spec |= {"hidden": 8, "embed_dim": 4}
    if spec["name"] == "bag_of_words":
        spec |= {"encoder_hidden": 8, "embed_dim": 4}
    if spec["name"] in ("conv", "conv_pool", "resnet"):
        spec |= {"channels": (4, 4)} | ({"groups": 2} if spec["name"] == "resnet" else {})


def loaded(name):
    return runpy.run_path(f"configs/{name}.py")["get_config"]().to_dict()


def setup(config):
    spec = EXAMPLES[config["data"]["kind"]][1]
    if config["data"]["context"]:
        spec = spec._replace(context_dim=CONTEXT.shape[1], context=FIELDS)
    if config["objective"]["name"] in OF_LABELS:
        spec = spec._replace(labels=(0, 1, 2), labelled=0.5)
    spec = spec._replace(has_missing=config["data"]["missing"] > 0)
    model = build.model(config, spec)
    return model, build.objective(config, model, spec, total_steps=10)


def check(config):
    """The contract; returns the last state."""
    _, objective = setup(config)
    traces = []

    def counted(*args):
        traces.append(1)
        return objective.loss(*args)

    optimizer = build.optimizer(config, objective, 10)
    preprocess = data.make_preprocess(16.0, config["data"]["binarization"], config["data"]["pixel_range"])
    examples = EXAMPLES[config["data"]["kind"]][0]
    step = train.make_step(objective._replace(loss=counted), optimizer, preprocess, len(examples))
    many = jax.jit(train.make_many_steps(step, lambda resident, rows: batch_of(config, rows)))
    start = jax.jit(functools.partial(train.init_state, objective, optimizer))(jax.random.key(0))
    rows = np.random.default_rng(1).integers(0, len(examples), (2, STEPS, BATCH)).astype(np.int32)

    def run():
        state, metrics = many(start, jnp.asarray(examples), rows[0])
        state, more = many(state, jnp.asarray(examples), rows[1])
        return jax.device_get((state, metrics, more))

    state, metrics, more = run()
    assert len(traces) == 1, "compiled more than once"
    for name, values in [*metrics.items(), *more.items()]:
        assert values.shape == (STEPS,)
        assert np.all(np.isfinite(values)), name
    assert {"loss", "reconstruction"} <= metrics.keys()
    paths = jax.tree_util.tree_leaves_with_path(state.params)
    before = jax.tree.leaves(jax.device_get(start.params))
    still = [
        jax.tree_util.keystr(path) for (path, after), old in zip(paths, before, strict=True) if np.all(after == old)
    ]
    assert still == [], "no gradient reaches these"
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(run()[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    return state


def legal(config):
    try:
        setup(config)
    except UserError:
        return False
    return True


def has_a_loss(config):
    _, objective = setup(config)
    batch = batch_of(config, np.arange(BATCH))
    batch["x"] = batch["x"].astype(jnp.float32)

    def loss(key):
        return objective.loss(*objective.init(key), batch, jax.random.fold_in(key, 1), CTX)

    found = jax.eval_shape(loss, jax.random.key(0))
    assert all(loss.shape == (BATCH,) for loss in found.losses.values())
    assert {"loss", "reconstruction"} <= found.metrics.keys()
