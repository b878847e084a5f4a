"""The settings that every config shares, with their defaults; a config file says only what differs."""

from ml_collections import ConfigDict

# What a data set changes about a run: `configs/vae.py:mnist` starts from these.
DATASETS = {
    "digits": {"num_epochs": 100, "eval_every_epochs": 10, "nll_samples": 1000, "validation_fraction": 0.1},
    "mnist": {"num_epochs": 20, "eval_every_epochs": 1, "nll_samples": 100, "validation_fraction": 0.02},
    "shapes": {"num_epochs": 100, "eval_every_epochs": 10, "nll_samples": 100, "validation_fraction": 0.1},
}


def get_config(name: str, dataset: str = "") -> ConfigDict:
    """The defaults for the model `name` on a data set: `digits` (where none is given), or any TFDS image data set."""
    dataset = dataset or "digits"
    sizes = DATASETS.get(dataset, DATASETS["mnist"])
    return ConfigDict({
        "name": f"{name}-{dataset}",
        "seed": 0,
        "data": {
            "name": dataset,
            "path": "",  # an .npz or .npy file or a folder of images: then this is the data
            "data_dir": "",  # where TFDS data lies; else $TFDS_DATA_DIR, else ~/tensorflow_datasets
            "cache_dir": "",  # where decoded arrays are kept; else ~/.cache/jaxvae
            "image_size": 0,  # above 0: central square, resized
            "validation_fraction": sizes["validation_fraction"],  # of "train", where none is given
            "binarization": "none",  # none | threshold | dynamic | static
            "pixel_range": (0.0, 1.0),  # or (-1.0, 1.0), or () for the values as stored (counts)
        },
        "model": {
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
        },
        "train": {
            "num_epochs": sizes["num_epochs"],
            "batch_size": 128,
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
            "sampler": {"name": "prior"},  # prior | gmm | flow | two_stage | pseudo_inputs | autoregressive
        },
        "tool": {"name": "interpolate"},  # interpolate | traverse | attribute | analogy | impute | denoise | search
        "parallel": "jit",  # jit | pmap
    })  # fmt: skip
