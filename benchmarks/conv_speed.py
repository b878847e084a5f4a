"""The speed of a convolutional VAE: 64 x 64 x 3 images, here, in stock Flax, and in PyTorch.

python benchmarks/conv_speed.py             # 2 minutes on 2 idle cores; PyTorch comes with the extra 'benchmark'

Each trains four strided 4 x 4 convolutions of 32-64-128-256 channels, 64 latents, and four transposed ones back, with
relu, binary cross-entropy and Adam, on the same batch of 128 images. They make a step each, in turn, so that a busy
machine is busy for all; compilation is outside every time. Run it on an idle machine: PyTorch spins while its threads
wait for each other, so that a busy neighbour costs it the most. "channels last" is PyTorch with the layout that its
manual advises for convolutions. Flax is measured less often, for it takes longest.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # configs/ is not installed with the library

from jaxvae.common.platform import avoid_wrong_sums

avoid_wrong_sums()

from jaxvae import train
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, defaults

SIDE, COLORS, LATENT, BATCH = 64, 3, 64, 128
CHANNELS = (32, 64, 128, 256)
ROWS = {
    "jaxvae": "(a) jaxvae",
    "torch": "(b) PyTorch",
    "torch_last": "(b) PyTorch, channels last",
    "flax": "(c) stock Flax",
}


def jaxvae_step(images: np.ndarray) -> Callable[[], float]:
    """A step of the library's own training."""
    config = defaults.get_config("conv_speed").to_dict()
    config["model"]["latent_dim"] = LATENT
    config["network"] = {"name": "conv", "channels": CHANNELS, "kernel": 4, "stride": 2}
    spec = DataSpec(images.shape[1:])
    model = build.model(config, spec)
    objective = build.objective(config, model, spec, 1000)
    optimizer = build.optimizer(config, objective, 1000)
    step = train.make_step(objective, optimizer, lambda key, x: x, BATCH)
    compiled = jax.jit(step, donate_argnums=0)
    state, batch = train.init_state(objective, optimizer, jax.random.key(0)), {"x": jnp.asarray(images)}

    def run() -> float:
        nonlocal state
        state, metrics = compiled(state, batch)
        return float(metrics["loss"])

    return run


class StockEncoder(nn.Module):
    """The same encoder of Flax's own layers."""

    @nn.compact
    def __call__(self, x):
        for width in CHANNELS:
            x = nn.relu(nn.Conv(width, (4, 4), (2, 2))(x))
        return jnp.split(nn.Dense(2 * LATENT)(x.reshape(len(x), -1)), 2, axis=-1)


class StockDecoder(nn.Module):
    """The same decoder of Flax's own layers."""

    @nn.compact
    def __call__(self, z):
        side = SIDE // 2 ** len(CHANNELS)
        x = nn.relu(nn.Dense(side * side * CHANNELS[-1])(z)).reshape(len(z), side, side, -1)
        for width in CHANNELS[-2::-1]:
            x = nn.relu(nn.ConvTranspose(width, (4, 4), (2, 2))(x))
        return nn.ConvTranspose(COLORS, (4, 4), (2, 2))(x)


def flax_step(images: np.ndarray) -> Callable[[], float]:
    """A step of the same training, plainly written."""
    x, encoder, decoder, adam = jnp.asarray(images), StockEncoder(), StockDecoder(), optax.adam(1e-3)
    encoder_key, decoder_key, noise_key = jax.random.split(jax.random.key(0), 3)
    params = encoder.init(encoder_key, x), decoder.init(decoder_key, jnp.zeros((1, LATENT)))

    def loss(params, key):
        outputs: Any = encoder.apply(params[0], x)
        mean, logvar = outputs
        z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
        cross_entropy = optax.sigmoid_binary_cross_entropy(decoder.apply(params[1], z), x)
        return (jnp.sum(cross_entropy) + 0.5 * jnp.sum(mean**2 + jnp.exp(logvar) - 1 - logvar)) / BATCH

    def step(params, opt_state, i):
        value, gradient = jax.value_and_grad(loss)(params, jax.random.fold_in(noise_key, i))
        updates, opt_state = adam.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state, i + 1, value

    compiled, state = jax.jit(step, donate_argnums=(0, 1)), (params, adam.init(params), jnp.zeros((), jnp.int32))

    def run() -> float:
        nonlocal state
        *state, value = compiled(*state)
        return float(value)

    return run


def torch_steps(images: np.ndarray) -> dict[str, Callable[[], float]]:
    """Steps of the same training in PyTorch, in both layouts.

    Raises:
      ImportError: PyTorch is not installed.
    """
    import torch  # pyright: ignore[reportMissingImports]
    import torch.nn.functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]

    def make(layout: torch.memory_format) -> Callable[[], float]:
        side, last = SIDE // 2 ** len(CHANNELS), CHANNELS[-1]
        encoder, decoder, width = nn.Sequential(), nn.Sequential(), COLORS
        for wider in CHANNELS:
            encoder.extend([nn.Conv2d(width, wider, 4, 2, 1), nn.ReLU()])
            width = wider
        encoder.extend([nn.Flatten(), nn.Linear(last * side * side, 2 * LATENT)])
        decoder.extend([nn.Linear(LATENT, last * side * side), nn.ReLU(), nn.Unflatten(1, (last, side, side))])
        for narrower in CHANNELS[-2::-1]:
            decoder.extend([nn.ConvTranspose2d(width, narrower, 4, 2, 1), nn.ReLU()])
            width = narrower
        decoder.append(nn.ConvTranspose2d(width, COLORS, 4, 2, 1))
        model: Any = nn.ModuleList([encoder, decoder])
        model = model.to(device, memory_format=layout)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        x = torch.tensor(images, device=device).permute(0, 3, 1, 2).contiguous(memory_format=layout)

        def run() -> float:
            mean, logvar = encoder(x).chunk(2, dim=1)
            logits = decoder(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))
            cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            loss = (cross_entropy + 0.5 * torch.sum(mean**2 + logvar.exp() - 1 - logvar)) / BATCH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()

        return run

    torch.manual_seed(0)
    device = torch.device("cpu" if jax.default_backend() == "cpu" else "cuda")
    return {"torch": make(torch.contiguous_format), "torch_last": make(torch.channels_last)}


def main(rounds: int, slow_rounds: int) -> None:
    """Measures in turn, then prints the table and one line of JSON."""
    images = np.random.default_rng(0).random((BATCH, SIDE, SIDE, COLORS), np.float32)
    steps = {"jaxvae": jaxvae_step(images)}
    try:
        steps |= torch_steps(images)
    except ImportError:
        print("PyTorch is not installed, so (b) is left out: pip install 'jaxvae[benchmark]'")
    if slow_rounds:
        steps["flax"] = flax_step(images)
    packages = ("jax", "jaxlib", "flax", "optax", *(("torch",) if "torch" in steps else ()))
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "device": jax.devices()[0].device_kind}
    print(f"{machine['cores']} cores, load {machine['load']} at the start; {machine['device']}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))

    times, losses = {name: [] for name in steps}, {}
    for r in range(-2, rounds):  # the first two compile, start threads, fill caches
        for name, step in steps.items():
            if name != "flax" or r < slow_rounds:
                start = time.perf_counter()
                losses[name] = step()
                times[name] += [time.perf_counter() - start] if r >= 0 else []

    median = {name: statistics.median(values) for name, values in times.items()}
    results = {f"jaxvae/{name}": median["jaxvae"] / median[name] for name in steps if name != "jaxvae"}
    print(f"\n{'milliseconds a step':28} {'median':>9} {'min':>9} {'max':>9} {'(a) / it':>9} {'loss':>9}")
    for name, values in times.items():
        shown = [f"{1e3 * value:9.1f}" for value in (median[name], min(values), max(values))]
        print(f"{ROWS[name]:28} {' '.join(shown)} {median['jaxvae'] / median[name]:9.2f} {losses[name]:9.1f}")
    print(json.dumps({**machine, "versions": versions, "seconds": times, **results}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="steps of each, in turn")
    parser.add_argument("--slow_rounds", type=int, default=5, help="steps of stock Flax, which is slow")
    args = parser.parse_args()
    main(args.rounds, args.slow_rounds)
