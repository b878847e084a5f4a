"""Every setting with its default, its meaning and its range; a config file says only what differs.

The command line, `--help` and the checks of a config read this table. Imports no JAX: mistakes are answered at once.
"""

import re
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxvae.common.ranges import FRACTION, NOT_NEGATIVE, POSITIVE, Range, within
from jaxvae.experiment import own


class Setting(NamedTuple):
    """A setting. Values must have the type of its default.

    Attributes:
      default: the value where a config says nothing.
      about: the meaning, for `--help`.
      allowed: the range of a number, None where any number makes sense.
      choices: the allowed strings, () where any string makes sense.
    """

    default: Any
    about: str
    allowed: Range | None = None
    choices: tuple[str, ...] = ()


class Part(NamedTuple):
    """A part, chosen by its name. Its options stand beside the name, and are checked when the part is built.

    Attributes:
      default: `{"name": ..., **options}`; {} for the options of a data source, whose name is a setting of its own.
      about: the meaning, for `--help`.
    """

    default: dict[str, Any]
    about: str


AT_LEAST_1 = within(1)
SEED = Range(lambda value: 0 <= value < 2**32, "from 0 to 2**32 - 1")
SIZE = Range(lambda value: value >= 0, "0 (as stored) or a number of pixels")
NORM = Range(lambda value: value >= 0, "0 (off) or above")
CHECKPOINT = Range(lambda value: value in ("best", "last") or value.isdigit(), "'best', 'last' or a step")
PIXELS = Range(lambda value: tuple(value) in ((0, 1), (-1, 1), ()),
               "(0.0, 1.0), (-1.0, 1.0), or () for the values as stored")  # fmt: skip

SETTINGS: dict[str, Setting | Part] = {
    "name": Setting("", "name of the run; its folder is runs/NAME"),
    "seed": Setting(0, "seed of the first weights, the batches and all noise", SEED),
    "data.name": Setting("digits", "digits, shapes, color_shapes, sentences, melodies, a TFDS name or module:function"),
    "data.kind": Setting("images", "images (or other arrays), text or music", choices=("images", "text", "music")),
    "data.options": Part({}, "options of a data source of your own, data.name=module:function"),
    "data.path": Setting("", "file or folder of your own: arrays, images, text or MIDI files"),
    "data.data_dir": Setting("", "folder of TFDS data; else $TFDS_DATA_DIR, else ~/tensorflow_datasets"),
    "data.cache_dir": Setting("", "folder for decoded arrays; else ~/.cache/jaxvae"),
    "data.image_size": Setting(0, "above 0: the central square, resized to this many pixels", SIZE),
    "data.stream": Setting(False, "leave images in their files, and decode them whenever they are needed"),
    "data.workers": Setting(0, "processes that decode streamed images; 0: threads of this process", NOT_NEGATIVE),
    "data.validation_fraction": Setting(0.1, "part of the training data for validation, where none is given", FRACTION),
    "data.binarization": Setting("none", "of pixels", choices=("none", "threshold", "dynamic", "static")),
    "data.pixel_range": Setting((0.0, 1.0), "range of x; () for counts and sequences", PIXELS),
    "data.sequence.max_length": Setting(0, "above 0: drop longer sentences, cut longer pieces of music", NOT_NEGATIVE),
    "data.sequence.unit": Setting("word", "token of a text", choices=("word", "character")),
    "data.sequence.vocabulary_size": Setting(0, "above 0: keep only this many of the commonest words", NOT_NEGATIVE),
    "data.sequence.min_count": Setting(1, "rarer words become <unk>", AT_LEAST_1),
    "data.sequence.frames_per_beat": Setting(1, "time steps of a beat, of music in MIDI files", AT_LEAST_1),
    "model": Part({"name": "vae"}, "how the parts make a model: vae, with one latent"),
    "model.latent_dim": Setting(20, "latent dimensions", AT_LEAST_1),
    "model.posterior": Part({"name": "diagonal_gaussian"}, "approximate posterior q(z|x)"),
    "model.prior": Part({"name": "standard_normal"}, "prior p(z)"),
    "model.likelihood": Part({"name": "bernoulli"}, "likelihood p(x|z), or a reconstruction loss"),
    "network": Part({"name": "mlp", "hidden": (400,), "activation": "relu"}, "encoder and decoder"),
    "objective": Part({"name": "elbo", "num_samples": 1}, "loss to minimise"),
    "kl": Part({"name": "constant", "beta": 1.0}, "weight of the KL in the objective"),
    "optimizer": Part({"name": "adam"}, "optimiser, of Optax"),
    "optimizer.learning_rate": Setting(1e-3, "learning rate, the peak of its schedule", POSITIVE),
    "optimizer.schedule": Part({"name": "constant"}, "learning rate over the run"),
    "optimizer.warmup_steps": Setting(0, "steps in which the learning rate rises from 0", NOT_NEGATIVE),
    "optimizer.clip_norm": Setting(0.0, "above 0: largest global norm of a gradient", NORM),
    "optimizer.skip_norm": Setting(0.0, "above 0: skip an update whose gradient is larger or not finite", NORM),
    "optimizer.ema_decay": Setting(0.0, "above 0: evaluate and sample with the EMA of the parameters", FRACTION),
    "optimizer.every": Setting(1, "n: update at every n-th step only", AT_LEAST_1),
    "optimizer.groups": Setting({}, "for one group of parameters alone: optimizer.groups.GROUP.learning_rate=1e-4"),
    "train.num_epochs": Setting(20, "passes over the training set", AT_LEAST_1),
    "train.start_from": Setting("", "warm start: folder of a run whose parameters training starts from"),
    "train.freeze": Setting((), "parameters that keep their first values: a group, or model.encoder,model.prior"),
    "train.select": Setting("loss", "the best checkpoint has the least of this validation metric; -elbo: the greatest"),
    "train.batch_size": Setting(128, "examples in a batch, over all devices", AT_LEAST_1),
    "train.accumulate": Setting(1, "equal parts of a batch, run through the network one after the other", AT_LEAST_1),
    "train.compute_dtype": Setting("float32", "of the networks; parameters and losses stay float32",
                                   choices=("float32", "bfloat16")),
    "train.remat": Setting(False, "recompute activations in the backward pass: on GPU and TPU less memory, more time"),
    "train.steps_per_call": Setting(100, "training steps in one call of the device", AT_LEAST_1),
    "train.eval_every_epochs": Setting(1, "epochs from one validation, picture and checkpoint to the next", AT_LEAST_1),
    "evaluate.checkpoint": Setting("best", "best by validation loss, last, or a step", CHECKPOINT),
    "evaluate.batch_size": Setting(1024, "examples in a batch of evaluation", AT_LEAST_1),
    "evaluate.nll_samples": Setting(100, "K of the importance-weighted log-likelihood", AT_LEAST_1),
    "evaluate.memory_mb": Setting(8.0, "bound on the decoder outputs held at a time, in megabytes", POSITIVE),
    "evaluate.metrics": Setting("collapse", "names with commas between, or all that fit: see help metrics"),
    "evaluate.max_examples": Setting(5000, "for metrics whose cost grows faster than the data", AT_LEAST_1),
    "evaluate.features": Setting("pca", "of sample quality: pixels, pca, the folder of a run, or an .npz of weights"),
    "evaluate.outliers": Setting("", "another data set, by name or path, for the metric of that name"),
    "evaluate.ais_examples": Setting(100, "test examples of annealed importance sampling", AT_LEAST_1),
    "evaluate.ais_chains": Setting(16, "chains for each of them", AT_LEAST_1),
    "evaluate.ais_temperatures": Setting(500, "steps from the prior to the posterior", AT_LEAST_1),
    "evaluate.report": Setting(True, "write report.html"),
    "sample.num": Setting(64, "examples to draw", AT_LEAST_1),
    "sample.temperature": Setting(1.0, "scale of the draws of z", NOT_NEGATIVE),
    "sample.seed": Setting(-1, "seed of the draws; -1: that of the run"),
    "sample.decoding": Part({"name": "greedy"}, "way to write sequences"),
    "sample.sampler": Part({"name": "prior"}, "way to draw z"),
    "tool": Part({"name": "interpolate"}, "for --mode=tool: what to do in the latent space"),
    "parallel": Setting("jit", "jit with a global view, or pmap", choices=("jit", "pmap")),
}  # fmt: skip

WITH_OPTIONS = tuple(key for key, each in SETTINGS.items() if isinstance(each, Part))
PARTS = tuple(key for key in WITH_OPTIONS if SETTINGS[key].default)
# Every key that a config must have; beside these there are the options of its parts.
KEYS = {f"{key}.name" if key in PARTS else key: each for key, each in SETTINGS.items() if each.default != {}}


def _sizes(num_epochs: int, eval_every_epochs: int, nll_samples: int, validation_fraction: float) -> dict[str, Any]:
    return {
        "train.num_epochs": num_epochs, "train.eval_every_epochs": eval_every_epochs,
        "evaluate.nll_samples": nll_samples, "data.validation_fraction": validation_fraction,
    }  # fmt: skip


# What a data set changes about a run: `configs/vae.py:mnist` starts from these; other data sets from those of mnist.
DATASETS = {
    "digits": _sizes(100, 10, 1000, 0.1),
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
    """The defaults for the model `name` on a data set: `digits` (where none is given), or any TFDS image data set."""
    dataset = dataset or "digits"
    sizes = DATASETS.get(dataset, DATASETS["mnist"])
    nested: dict[str, Any] = {}
    for key, each in SETTINGS.items():
        *sections, last = key.split(".")
        node = nested
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = dict(each.default) if isinstance(each, Part) else sizes.get(key, each.default)
    return ConfigDict({**nested, "name": f"{name}-{own.short(dataset)}", "data": {**nested["data"], "name": dataset}})


def shared(key: str) -> str:
    """The setting of all groups of parameters that `optimizer.groups.GROUP` overrides for one; other keys unchanged."""
    return re.sub(r"^optimizer\.groups\.[^.]+", "optimizer", key)


def is_option(key: str) -> bool:
    """Whether a key is an option of a part, which the part itself checks."""
    key = shared(key)
    return key.rpartition(".")[0] in WITH_OPTIONS and key not in SETTINGS and key not in KEYS
