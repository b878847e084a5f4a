"""The settings that every config shares, with their defaults; a config file says only what differs."""

from ml_collections import ConfigDict

from jaxvae.experiment import own

# What a data set changes about a run: `configs/vae.py:mnist` starts from these.
DATASETS = {
    "digits": {"num_epochs": 100, "eval_every_epochs": 10, "nll_samples": 1000, "validation_fraction": 0.1},
    "mnist": {"num_epochs": 20, "eval_every_epochs": 1, "nll_samples": 100, "validation_fraction": 0.02},
    "shapes": {"num_epochs": 100, "eval_every_epochs": 10, "nll_samples": 100, "validation_fraction": 0.1},
    "frey": {"num_epochs": 1000, "eval_every_epochs": 20, "nll_samples": 1000, "validation_fraction": 0.1},
    "celeb_a": {"num_epochs": 20, "eval_every_epochs": 1, "nll_samples": 10, "validation_fraction": 0.1},
    "sentences": {"num_epochs": 40, "eval_every_epochs": 4, "nll_samples": 100, "validation_fraction": 0.1},
    "ptb": {"num_epochs": 8, "eval_every_epochs": 1, "nll_samples": 5, "validation_fraction": 0.1},
    "melodies": {"num_epochs": 100, "eval_every_epochs": 10, "nll_samples": 100, "validation_fraction": 0.1},
    "jsb": {"num_epochs": 100, "eval_every_epochs": 5, "nll_samples": 100, "validation_fraction": 0.1},
}


def get_config(name: str, dataset: str = "") -> ConfigDict:
    """The defaults for the model `name` on a data set: `digits` (where none is given), or any TFDS image data set."""
    dataset = dataset or "digits"
    sizes = DATASETS.get(dataset, DATASETS["mnist"])
    return ConfigDict({
        "name": f"{name}-{own.short(dataset)}",
        "seed": 0,
        "data": {
            "name": dataset,
            "kind": "images",  # images (and other arrays) | text | music
            "options": {},  # of data.name=module:function
            "path": "",  # a file or folder of arrays, images, text or MIDI files: then this is the data
            "data_dir": "",  # where TFDS data lies; else $TFDS_DATA_DIR, else ~/tensorflow_datasets
            "cache_dir": "",  # where decoded arrays are kept; else ~/.cache/jaxvae
            "image_size": 0,  # above 0: central square, resized
            "stream": False,  # images stay in their files and are decoded whenever they are needed
            "workers": 0,  # processes that decode streamed images; 0: threads of this one
            "validation_fraction": sizes["validation_fraction"],  # of "train", where none is given
            "binarization": "none",  # none | threshold | dynamic | static
            "pixel_range": (0.0, 1.0),  # or (-1.0, 1.0), or () for the values as stored (counts, sequences)
            "sequence": {
                "max_length": 0,  # above 0: longer sentences are left out, longer pieces of music are cut
                "unit": "word",  # word | character
                "vocabulary_size": 0,  # above 0: only so many of the commonest words
                "min_count": 1,  # words that are rarer are <unk>
                "frames_per_beat": 1,  # of music in MIDI files
            },
        },
        "model": {
            "name": "vae",  # how the parts are put together: vae (one latent)
            "latent_dim": 20,
            "posterior": {"name": "diagonal_gaussian"},
            "prior": {"name": "standard_normal"},
            "likelihood": {"name": "bernoulli"},
        },
        "network": {"name": "mlp", "hidden": (400,), "activation": "relu"},
        "objective": {"name": "elbo", "num_samples": 1},
        "kl": {"name": "constant", "beta": 1.0},  # constant | linear | cyclic | free_bits | capacity
        "optimizer": {
            "name": "adam",
            "learning_rate": 1e-3,
            "schedule": {"name": "constant"},  # constant | cosine | linear
            "warmup_steps": 0,
            "clip_norm": 0.0,  # above 0: the largest global norm of a gradient
            "skip_norm": 0.0,  # above 0: an update whose gradient has a larger global norm, or none, is skipped
            "ema_decay": 0.0,  # above 0: validation, evaluation and sampling use a moving average of the parameters
        },
        "train": {
            "num_epochs": sizes["num_epochs"],
            "start_from": "",  # the folder of a run with the same network, whose parameters training starts from
            "batch_size": 128,
            "accumulate": 1,  # equal parts of a batch that go through the network one after the other
            "compute_dtype": "float32",  # or bfloat16, of the networks; parameters and losses stay float32
            "remat": False,  # the backward pass computes activations anew: on GPU and TPU less memory, more time
            "steps_per_call": 100,  # steps in one call of the device
            "eval_every_epochs": sizes["eval_every_epochs"],  # validation, pictures and a checkpoint
        },
        "evaluate": {
            "checkpoint": "best",  # best by validation loss | last | a step
            "batch_size": 1024,
            "nll_samples": sizes["nll_samples"],  # K of the importance-weighted likelihood
            "memory_mb": 8.0,  # bound on the decoder outputs held at a time
            "metrics": "collapse",  # further ones, with commas between them, or "all" that fit the run
            "max_examples": 5000,  # of the metrics whose cost grows faster than the data
            "features": "pca",  # of sample quality: pixels | pca | the folder of a run | an .npz of weights
            "outliers": "",  # another data set, by name or path, for the metric of that name
            "ais_examples": 100,
            "ais_chains": 16,
            "ais_temperatures": 500,
            "report": True,  # report.html
        },
        "sample": {
            "num": 64,
            "temperature": 1.0,
            "seed": -1,  # -1: the run's own
            "decoding": {"name": "greedy"},  # of sequences: greedy | random | beam
            "sampler": {"name": "prior"},  # prior | gmm | flow | two_stage | pseudo_inputs | autoregressive
        },
        "tool": {"name": "interpolate"},  # interpolate | traverse | attribute | analogy | impute | denoise | search
        "parallel": "jit",  # jit | pmap
    })  # fmt: skip
