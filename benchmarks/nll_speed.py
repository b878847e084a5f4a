"""The speed of the importance-weighted likelihood on CPU: the 784-400-20 VAE's, beside its matrix multiplications.

python benchmarks/nll_speed.py                     # 10,000 images x 5,000 samples; 5 minutes on 2 idle cores
python benchmarks/nll_speed.py --examples=1024     # a tenth of it

The decoder runs once for each image and sample, which is nearly all of the work. "times products" is the measured time
over that of the decoder's matrix multiplications at the rate of a large square one, measured before and after.
"""

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # configs/ is not installed with the library

from jaxvae.common.platform import avoid_wrong_sums

avoid_wrong_sums()

from train_speed import MATMUL_SIZE, load_images, product_seconds, timed

from configs import vae
from jaxvae import data
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build
from jaxvae.metrics.likelihood import nll_metrics
from jaxvae.train import sharding
from jaxvae.train.validation import mean_over


def test_nll(num_examples: int, num_samples: int, memory_mb: float) -> tuple[Callable[[], float], float]:
    """The mean NLL of that many images as `--mode=evaluate` computes it, and the operations of its products."""
    config = vae.get_config("mnist").to_dict()
    images, _ = load_images(num_examples)
    model = build.model(config, DataSpec(images.shape[1:]))
    params = jax.jit(model.init)(jax.random.key(0))
    preprocess = data.make_preprocess(255.0, "dynamic", (0.0, 1.0))
    per_example = partial(nll_metrics, model, preprocess, num_samples, memory_mb)
    split, parallel = data.Split(images), sharding.global_view()
    means = mean_over(split, per_example, parallel, jax.random.key(1), config["evaluate"]["batch_size"])
    (hidden,), latent = config["network"]["hidden"], config["model"]["latent_dim"]
    flops = 2.0 * len(images) * num_samples * (latent * hidden + hidden * math.prod(images.shape[1:]))
    return lambda: means(params)["nll"], flops


def main(num_examples: int, num_samples: int, rounds: int, memory_mb: float) -> None:
    """Measures, prints a line for each round and one of JSON."""
    warm_up, _ = test_nll(num_examples, 16, memory_mb)
    run, flops = test_nll(num_examples, num_samples, memory_mb)
    product = product_seconds()
    warm_up()
    ratios, seconds = [], []
    for _ in range(rounds):
        before = product()
        spent, nll = timed(run)
        rate = 2 * MATMUL_SIZE**3 / statistics.mean((before, product()))
        seconds.append(spent)
        ratios.append(spent * rate / flops)
        products = f"products {flops / rate:.2f} s at {rate / 1e9:.0f} GFLOP/s"
        print(f"{spent:8.2f} s  NLL {nll:.2f}; {products}: {ratios[-1]:.2f}", flush=True)
    found = {"seconds": seconds, "times products": statistics.median(ratios)}
    print(json.dumps({"examples": num_examples, "samples": num_samples, "cores": os.cpu_count(), **found}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10000, help="images")
    parser.add_argument("--samples", type=int, default=5000, help="K")
    parser.add_argument("--rounds", type=int, default=3, help="how often")
    parser.add_argument("--memory_mb", type=float, default=8.0, help="evaluate.memory_mb")
    args = parser.parse_args()
    main(args.examples, args.samples, args.rounds, args.memory_mb)
