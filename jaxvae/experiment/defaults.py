"""Define every setting with its default, meaning and range; a config file lists only what differs.

The command line, `--help` and the checks of a config read this table. It does not import JAX, so errors appear at once.
"""

import re
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxvae.common.ranges import FRACTION, NOT_NEGATIVE, POSITIVE, Range, within
from jaxvae.experiment import own


class Setting(NamedTuple):
    """A setting. Values must have the type of its default.

    Attributes:
      default: the value unless a config changes it.
      about: the meaning, for `--help`.
      allowed: the range of a number, None for any number.
      choices: the allowed strings, () for any string.
    """

    default: Any
    about: str
    allowed: Range | None = None
    choices: tuple[str, ...] = ()


class Part(NamedTuple):
    """A part, selected by its name. Its options are keys beside the name, checked when the part is built.

    Attributes:
      default: `{"name": ..., **options}`; {} for the options of a data source, whose name is a separate setting.
      about: the meaning, for `--help`.
      key: key of the name; "network" for a part of a part, "" for options without a name.
    """

    default: dict[str, Any]
    about: str
    key: str = "name"


AT_LEAST_1 = within(1)
FORMATS = ("png", "pdf", "svg")  # of figures
SEED = Range(lambda value: 0 <= value < 2**32, "from 0 to 2**32 - 1")
SIZE = Range(lambda value: value >= 0, "0 (as stored) or a number of pixels")
NORM = Range(lambda value: value >= 0, "0 (off) or above")
CHECKPOINT = Range(lambda value: value in ("best", "last") or value.isdigit(), "'best', 'last' or a step")
PIXELS = Range(lambda value: tuple(value) in ((0, 1), (-1, 1), ()),
               "(0.0, 1.0), (-1.0, 1.0), or () for the values as stored")  # fmt: skip

SETTINGS: dict[str, Setting | Part] = {
    "name": Setting("", "name of the run; its folder is runs/NAME"),
    "seed": Setting(0, "seed of the initial weights, the batches and all noise", SEED),
    "data.name": Setting("digits", "bundled (digits, shapes, cells, sentences ...), a TFDS name or module:function"),
    "data.kind": Setting("images", "images (or other arrays), text, music, or table: columns of several kinds",
                         choices=("images", "text", "music", "table")),
    "data.columns": Setting((), "kinds of columns that the rule for tables gets wrong: name=kind,name=kind"),
    "data.options": Part({}, "options of your own data source, data.name=module:function"),
    "data.path": Setting("", "your own file or folder: arrays, images, text or MIDI files"),
    "data.data_dir": Setting("", "folder of TFDS data; else $TFDS_DATA_DIR, else ~/tensorflow_datasets"),
    "data.cache_dir": Setting("", "folder for decoded arrays; else ~/.cache/jaxvae"),
    "data.image_size": Setting(0, "above 0: the central square, resized to this many pixels", SIZE),
    "data.stream": Setting(False, "decode images from their files whenever they are needed, without a cache"),
    "data.workers": Setting(0, "processes that decode streamed images; 0: threads of this process", NOT_NEGATIVE),
    "data.validation_fraction": Setting(0.1, "fraction of training data for validation, if there is none", FRACTION),
    "data.binarization": Setting("none", "binarisation of pixels", choices=("none", "threshold", "dynamic", "static")),
    "data.scaling": Setting("none", "of real values, by the training data: unit (to data.pixel_range), standardize",
                            choices=("none", "unit", "standardize")),
    "data.missing": Setting(0.0, "probability to hide an entry of x, for study; NaN is missing anyway", FRACTION),
    "data.missing_seed": Setting(0, "seed of the hidden entries", SEED),
    "data.label": Setting("", "array, column or annotation of your own file that holds the labels"),
    "data.labels": Setting(0, "above 0: so many training examples keep their label, class-balanced", NOT_NEGATIVE),
    "data.labels_seed": Setting(0, "seed of the choice of these examples", SEED),
    "data.context": Setting("", "what the model is conditional on: label, factors, names of factors, of own arrays or "
                                "columns, or of quadrants (bottom_left), with commas"),
    "data.pixel_range": Setting((0.0, 1.0), "range of x; () for counts and sequences", PIXELS),
    "data.sequence.max_length": Setting(0, "above 0: drop longer sentences, cut longer pieces of music", NOT_NEGATIVE),
    "data.sequence.unit": Setting("word", "token of a text", choices=("word", "character")),
    "data.sequence.vocabulary_size": Setting(0, "above 0: keep only this many of the most common words", NOT_NEGATIVE),
    "data.sequence.min_count": Setting(1, "rarer words become <unk>", AT_LEAST_1),
    "data.sequence.frames_per_beat": Setting(1, "time steps per beat, for music in MIDI files", AT_LEAST_1),
    "model": Part({"name": "vae"}, "structure of the model: vae, with one latent"),
    "model.latent_dim": Setting(20, "latent dimensions", AT_LEAST_1),
    "model.posterior": Part({"name": "diagonal_gaussian"}, "approximate posterior q(z|x)"),
    "model.prior": Part({"name": "standard_normal"}, "prior p(z)"),
    "model.likelihood": Part({"name": "bernoulli"}, "likelihood p(x|z), or a reconstruction loss"),
    "context.encoder": Setting(True, "whether the encoder takes the context, see data.context"),
    "context.decoder": Setting(True, "whether the decoder takes it"),
    "context.prior": Setting(False, "whether a mixture, Vamp or flow prior does; conditional_normal always does"),
    "network": Part({"name": "mlp", "hidden": (400,), "activation": "relu"}, "encoder and decoder"),
    "stage_of": Setting("", "folder of a run, the first stage, whose codes are the data of this one"),
    "stage": Part({}, "the sections model and network of the first stage, filled in from stage_of"),
    "objective": Part({"name": "elbo", "num_samples": 1}, "loss to minimise"),
    "objective.discriminator": Part({}, "discriminator of an adversarial objective, by its network", key="network"),
    "objective.features": Part({}, "feature network of a perceptual loss: run=FOLDER, or weights=FILE, architecture",
                               key=""),
    "features": Part({}, "layout of this feature network, filled in from objective.features"),
    "classifier": Part({}, "network of the classifier of an objective with labels, name and options; else the model's"),
    "kl": Part({"name": "constant", "beta": 1.0}, "weight of the KL in the objective"),
    "optimizer": Part({"name": "adam"}, "optimiser, of Optax"),
    "optimizer.learning_rate": Setting(1e-3, "learning rate, the peak of its schedule", POSITIVE),
    "optimizer.schedule": Part({"name": "constant"}, "schedule of the learning rate"),
    "optimizer.warmup_steps": Setting(0, "steps in which the learning rate rises from 0", NOT_NEGATIVE),
    "optimizer.clip_norm": Setting(0.0, "above 0: clip gradients to this global norm", NORM),
    "optimizer.skip_norm": Setting(0.0, "above 0: skip updates whose gradient norm is larger or not finite", NORM),
    "optimizer.ema_decay": Setting(0.0, "above 0: evaluate and sample with the EMA of the parameters", FRACTION),
    "optimizer.every": Setting(1, "n: update only at every n-th step", AT_LEAST_1),
    "optimizer.groups": Setting({}, "settings of one group of parameters: optimizer.groups.GROUP.learning_rate=1e-4"),
    "train.num_epochs": Setting(20, "passes over the training set", AT_LEAST_1),
    "train.start_from": Setting("", "warm start: folder of a run whose parameters training starts from"),
    "train.pretrain_epochs": Setting(0, "above 0: first so many as an autoencoder, to fit the prior", NOT_NEGATIVE),
    "train.cluster_epochs": Setting(0, "above 0: then so many with examples held in clusters of codes", NOT_NEGATIVE),
    "train.cluster_rounds": Setting(1, "how often, each time in clusters of the codes as they are then", AT_LEAST_1),
    "train.pretrain_masking": Setting(0.0, "share of the values that this autoencoder does not see", FRACTION),
    "train.freeze": Setting((), "parameters that keep their initial values: a group, or model.encoder,model.prior"),
    "train.select": Setting("loss", "validation metric that the best checkpoint minimises; -elbo: maximises elbo"),
    "train.patience": Setting(0, "above 0: stop after so many validations without a better train.select", NOT_NEGATIVE),
    "train.trackers": Setting("tensorboard", "where training is logged: tensorboard, wandb, mlflow, with commas"),
    "train.batch_size": Setting(128, "examples in a batch, over all devices", AT_LEAST_1),
    "train.labelled_share": Setting(0.0, "above 0: share of the examples of each batch that have a label", FRACTION),
    "train.accumulate": Setting(1, "gradient accumulation: microbatches per batch, all of one size", AT_LEAST_1),
    "train.compute_dtype": Setting("float32", "dtype of network computations; parameters and losses stay float32",
                                   choices=("float32", "bfloat16")),
    "train.remat": Setting(False, "recompute activations in the backward pass: on GPU and TPU less memory, more time"),
    "train.steps_per_call": Setting(100, "training steps in one call of the device", AT_LEAST_1),
    "train.eval_every_epochs": Setting(1, "epochs between validations, pictures and checkpoints", AT_LEAST_1),
    "evaluate.checkpoint": Setting("best", "best (see train.select), last, or a step", CHECKPOINT),
    "evaluate.batch_size": Setting(1024, "examples in an evaluation batch", AT_LEAST_1),
    "evaluate.nll_samples": Setting(100, "K of the importance-weighted log-likelihood", AT_LEAST_1),
    "evaluate.memory_mb": Setting(8.0, "bound on the decoder outputs held at a time, in megabytes", POSITIVE),
    "evaluate.metrics": Setting("collapse", "names separated by commas, or all (that fit): see help metrics"),
    "evaluate.max_examples": Setting(5000, "maximum for metrics of more than linear cost", AT_LEAST_1),
    "evaluate.classifier": Setting("linear", "classifier of the codes, of a run that has none of its own",
                                   choices=("linear", "svm", "network")),
    "evaluate.features": Setting("pca", "for sample quality: pixels, pca, the folder of a run, or an .npz of weights"),
    "evaluate.outliers": Setting("", "another data set, by name or path, for the metric outliers"),
    "evaluate.ais_examples": Setting(100, "test examples of annealed importance sampling", AT_LEAST_1),
    "evaluate.ais_chains": Setting(16, "chains for each of these examples", AT_LEAST_1),
    "evaluate.ais_temperatures": Setting(500, "transitions from the prior to the posterior", AT_LEAST_1),
    "evaluate.report": Setting(True, "write report.html"),
    "evaluate.data": Setting("", "judge, encode or reconstruct other data of the same shape, by name or path"),
    "figures.draw": Setting(True, "draw figures after training and at each validation, which takes seconds"),
    "figures.format": Setting("png", "format of the figures; beside pdf or svg a PNG is written too",
                              choices=FORMATS),
    "sample.num": Setting(64, "examples to draw", AT_LEAST_1),
    "sample.temperature": Setting(1.0, "scale of the draws of z", NOT_NEGATIVE),
    "sample.seed": Setting(-1, "seed of the draws; -1: the run's"),
    "sample.format": Setting("csv", "file of the sampled rows of a table", choices=("csv", "parquet")),
    "sample.context": Setting("", "of a conditional model: a class, a list (0,1,2), name=value,name=value, or an .npz; "
                                  "sample.num examples of each"),
    "sample.attributes": Setting("", "another name of sample.context, of latent constraints"),
    "sample.decoding": Part({"name": "greedy"}, "decoding of sequences"),
    "sample.sampler": Part({"name": "prior"}, "sampler of z"),
    "encode.split": Setting("test", "examples to encode", choices=("train", "validation", "test", "all")),
    "encode.format": Setting("npz", "file of the codes", choices=("npz", "csv", "parquet")),
    "tool": Part({"name": "interpolate"}, "latent-space tool for --mode=tool"),
    "parallel": Setting("jit", "jit with a global view, or pmap", choices=("jit", "pmap")),
}  # fmt: skip

WITH_OPTIONS = tuple(key for key, each in SETTINGS.items() if isinstance(each, Part))
PARTS = tuple(key for key in WITH_OPTIONS if SETTINGS[key].default)
# Options of a part that are sections of options themselves, with the key of their name; only configs that use them have
# them.
INNER = {
    key: each.key for key, each in SETTINGS.items()
    if isinstance(each, Part) and key not in PARTS and key.rpartition(".")[0] in PARTS
}  # fmt: skip
FILLED_IN = ("stage", "features")  # sections that follow from another run or file, so that a run is whole by itself
# Every key that a config must have; options of its parts are further keys.
KEYS = {f"{key}.name" if key in PARTS else key: each for key, each in SETTINGS.items() if each.default != {}}


def _sizes(num_epochs: int, eval_every_epochs: int, nll_samples: int, validation_fraction: float) -> dict[str, Any]:
    return {
        "train.num_epochs": num_epochs, "train.eval_every_epochs": eval_every_epochs,
        "evaluate.nll_samples": nll_samples, "data.validation_fraction": validation_fraction,
    }  # fmt: skip


# Defaults by data set, for `configs/vae.py:mnist` and so on; data sets not listed have those of mnist.
DATASETS = {
    "digits": _sizes(100, 10, 1000, 0.1),
    "own": _sizes(100, 10, 100, 0.1),  # arrays and files of the user
    "mnist": _sizes(20, 1, 100, 0.02),
    "shapes": _sizes(100, 10, 100, 0.1),
    "frey": _sizes(1000, 20, 1000, 0.1),
    "celeb_a": _sizes(20, 1, 10, 0.1),
    "sentences": _sizes(40, 4, 100, 0.1),
    "ptb": _sizes(8, 1, 5, 0.1),
    "melodies": _sizes(100, 10, 100, 0.1),
    "jsb": _sizes(100, 5, 100, 0.1),
}


def get_config(name: str, dataset: str = "") -> ConfigDict:
    """Return the defaults for the model `name` on a data set: `digits` (the default), or any TFDS image data set."""
    dataset = dataset or "digits"
    sizes = DATASETS.get(dataset, DATASETS["mnist"])
    nested: dict[str, Any] = {}
    for key, each in SETTINGS.items():
        if key in INNER:
            continue
        *sections, last = key.split(".")
        node = nested
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = dict(each.default) if isinstance(each, Part) else sizes.get(key, each.default)
    return ConfigDict({**nested, "name": f"{name}-{own.short(dataset)}", "data": {**nested["data"], "name": dataset}})


def sized_for_own(config: dict[str, Any]) -> dict[str, Any]:
    """Give a config of the bundled digits the sizes for data of the user's own; other configs are unchanged."""
    if config["data"]["name"] == "digits":
        for key, value in DATASETS["own"].items():
            section, _, name = key.partition(".")
            config[section][name] = value
    return config


def shared(key: str) -> str:
    """Return the optimiser setting that a key under `optimizer.groups.GROUP` overrides; other keys unchanged."""
    return re.sub(r"^optimizer\.groups\.[^.]+", "optimizer", key)


def is_filled_in(key: str) -> bool:
    """Return whether a key is in a section that follows from another setting."""
    return key.partition(".")[0] in FILLED_IN and "." in key


def named_by(key: str) -> str:
    """Return the part whose name a key holds, `network` for `network.name`; "" for other keys."""
    part, _, last = key.rpartition(".")
    return part if last == INNER.get(part, "name" if shared(part) in PARTS else "") else ""


def is_option(key: str) -> bool:
    """Return whether a key is an option of a part, which the part itself checks; all that is filled in is one."""
    key = shared(key)
    return is_filled_in(key) or (
        key.rpartition(".")[0] in WITH_OPTIONS and (key in INNER or (key not in SETTINGS and key not in KEYS))
    )


def owner(key: str) -> str:
    """Return the part that an option belongs to, also where it is in a section of options of that part."""
    part = key.rpartition(".")[0]
    return part.rpartition(".")[0] if part in INNER else part
