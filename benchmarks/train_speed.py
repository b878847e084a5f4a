"""The speed of training: the 784-400-20 VAE here, in plain PyTorch, and as the classic tutorials feed it.

python benchmarks/train_speed.py               # 2 minutes on 2 idle cores; PyTorch comes with the extra 'benchmark'

All train the same network with binary cross-entropy and Adam on 468 batches of 128 images, in turn, round by round.
Compilation and loading are outside every time, but for the tutorials' data loader, which is part of their loop. Run it
on an idle machine: PyTorch spins while its threads wait for each other, so that a busy neighbour can cost it a factor
of ten. With one thread it does not, hence the row of its own.

Where JAX has a GPU, PyTorch trains on it too; the network and the stored images are there before the first step.

"matmul share" is the part of (a) that an epoch's matrix multiplications would take at the rate of large square ones.
"""

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # configs/ is not installed with the library

from jaxvae.common.platform import avoid_wrong_sums

avoid_wrong_sums()

from configs import vae
from jaxvae import data, train
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build
from jaxvae.train import loop, sharding

MATMUL_SIZE = 2048
ROWS = {
    "jaxvae": "(a) jaxvae",
    "torch": "(b) PyTorch, data in memory",
    "torch_1_thread": "(b) the same with one thread",
    "tutorial": "(c) PyTorch, tutorials' loader",
    "product": f"(d) {MATMUL_SIZE}^3 float32 product",
}


def matmul_flops(sizes: Sequence[int], num_examples: int) -> int:
    """Floating-point operations of the matrix multiplications in training steps over `num_examples` examples.

    `sizes` are the encoder's layers from data to latent, (784, 400, 20) say; the encoder ends in mean and log-variance,
    the decoder mirrors it. A layer m -> n takes 2mn for its output, 2mn for its weights' gradient, and 2mn for its
    input's gradient, which the first layer does not need.
    """
    encoder = [*sizes[:-1], 2 * sizes[-1]]
    decoder = sizes[::-1]
    weights = [m * n for layers in (encoder, decoder) for m, n in itertools.pairwise(layers)]
    return num_examples * 2 * (3 * sum(weights) - weights[0])


def load_images(num: int) -> tuple[np.ndarray, str]:
    """`[num, 28, 28, 1]` uint8: MNIST where TFDS has it, otherwise random pixels, which cost the same."""
    try:
        x = np.asarray(data.load(name="mnist", validation_fraction=0.0).train.x[:num])
        return x, f"MNIST, {len(x)} images"
    except UserError:
        x = np.random.default_rng(0).integers(0, 256, (num, 28, 28, 1), np.uint8)
        return x, f"random pixels, {num} images (MNIST is not prepared here)"


def jaxvae_epoch(config: dict, images: np.ndarray) -> Callable[[], float]:
    """One epoch of the library's own loop; returns the last loss, on the host."""
    settings = config["train"]
    spec = DataSpec(images.shape[1:])
    model = build.model(config, spec)
    preprocess = data.make_preprocess(255.0, config["data"]["binarization"], config["data"]["pixel_range"])
    feed = data.make_feed(data.Split(images), settings["batch_size"], config["seed"])
    parallel = sharding.global_view()
    total_steps = settings["num_epochs"] * feed.steps_per_epoch
    objective = build.objective(config, model, spec, total_steps)
    optimizer = build.optimizer(config, objective, total_steps)
    run = train.make_trainer(objective, optimizer, preprocess, feed, parallel)
    state = parallel.replicate(train.init_state(objective, optimizer, jax.random.key(config["seed"])))
    step, seen = 0, {}

    def epoch() -> float:
        nonlocal state, step
        state, step = loop.fit(
            state,
            run,
            first_step=step,
            steps_per_epoch=feed.steps_per_epoch,
            num_epochs=step // feed.steps_per_epoch + 1,
            steps_per_call=settings["steps_per_call"],
            eval_every_epochs=settings["eval_every_epochs"],
            on_steps=lambda end, metrics: seen.update(metrics),
            on_epoch=lambda state, step: None,
        )
        jax.block_until_ready(state)
        return float(seen["loss"][-1])

    return epoch


def torch_epochs(images: np.ndarray, hidden: int, latent: int, batch_size: int) -> dict[str, Callable[[], float]]:
    """Epochs of the same training in PyTorch, from a float tensor and as the tutorials do; each returns its last loss.

    Raises:
      ImportError: PyTorch is not installed.
    """
    import torch  # pyright: ignore[reportMissingImports]
    import torch.nn.functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]
    from PIL import Image
    from torch import Tensor, nn  # pyright: ignore[reportMissingImports]
    from torch.utils.data import DataLoader, Dataset  # pyright: ignore[reportMissingImports]

    class VAE(nn.Module):
        def __init__(self, size: int):
            super().__init__()
            self.hidden = nn.Linear(size, hidden)
            self.mean, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
            self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            h = F.relu(self.hidden(x))
            mean, logvar = self.mean(h), self.logvar(h)
            return self.decoder(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)), mean, logvar

    class Images(Dataset):
        """What torchvision's MNIST does for each item with the transforms ToTensor and Normalize."""

        mean, std = (0.0,), (1.0,)  # leaves pixels in [0, 1], as cross-entropy needs; the work is that of 0.5 and 0.5

        def __init__(self, stored: Tensor):
            self.stored, self.targets = stored, torch.zeros(len(stored), dtype=torch.long)

        def __len__(self) -> int:
            return len(self.stored)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            image = Image.fromarray(self.stored[index].numpy())  # uint8 [28, 28]: mode "L"
            x = torch.from_numpy(np.array(image, np.uint8, copy=True)).view(image.size[1], image.size[0], 1)
            x = x.permute(2, 0, 1).contiguous().to(torch.float32).div(255).clone()
            mean, std = torch.as_tensor(self.mean, dtype=x.dtype), torch.as_tensor(self.std, dtype=x.dtype)
            if (std == 0).any():
                raise ValueError("std is 0")
            return x.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1)), int(self.targets[index])

    def make_step() -> Callable[[Tensor], Tensor]:
        model = VAE(math.prod(images.shape[1:])).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

        def step(x: Tensor) -> Tensor:
            logits, mean, logvar = model(x)
            reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
            kl = 0.5 * torch.sum(mean**2 + logvar.exp() - 1 - logvar) / len(x)
            loss = reconstruction + kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return step

    torch.manual_seed(0)
    device = torch.device("cpu" if jax.default_backend() == "cpu" else "cuda")
    stored = torch.tensor(images[..., 0])
    x, plain, tutorial = stored.reshape(len(images), -1).float().to(device) / 255, make_step(), make_step()
    loader = DataLoader(Images(stored), batch_size, shuffle=True, drop_last=True)

    def plain_epoch() -> float:
        order, value = torch.randperm(len(x), device=device), math.nan
        num_steps = len(x) // batch_size
        for i in range(num_steps):
            loss = plain(x[order[i * batch_size : (i + 1) * batch_size]])
            if (i + 1) % 100 == 0 or i + 1 == num_steps:
                value = loss.item()
        return value

    def tutorial_epoch() -> float:
        value = math.nan
        for batch, _ in loader:
            value = tutorial(batch.view(len(batch), -1).to(device)).item()
        return value

    def one_thread_epoch() -> float:
        default = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return plain_epoch()
        finally:
            torch.set_num_threads(default)

    return {"torch": plain_epoch, "torch_1_thread": one_thread_epoch, "tutorial": tutorial_epoch}


def product_seconds() -> Callable[[], float]:
    """A function of the seconds that XLA takes for one large matrix multiplication, the median of nine."""
    a, b = jax.random.normal(jax.random.key(0), (2, MATMUL_SIZE, MATMUL_SIZE))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(a, b))
    return lambda: statistics.median(timed(lambda: jax.block_until_ready(product(a, b)))[0] for _ in range(9))


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def main(num_examples: int, rounds: int, slow_rounds: int) -> None:
    """Measures in turn, prints each time, then the table and one line of JSON."""
    config = vae.get_config("mnist").to_dict()
    (hidden,), latent, batch = config["network"]["hidden"], config["model"]["latent_dim"], config["train"]["batch_size"]
    images, source = load_images(num_examples)
    num_steps = len(images) // batch
    epochs = {"jaxvae": jaxvae_epoch(config, images)}
    try:
        epochs |= torch_epochs(images, hidden, latent, batch)
    except ImportError:
        print("PyTorch is not installed, so (b) and (c) are left out: pip install 'jaxvae[benchmark]'")
    packages = ("jax", "jaxlib", "flax", "optax", *(("torch",) if "torch" in epochs else ()))
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "device": jax.devices()[0].device_kind}
    work = f"{source}; {num_steps} steps of {batch}"
    print(f"{work}; {machine['cores']} cores, load {machine['load']} at the start; {machine['device']}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))

    product = product_seconds()
    for name in epochs.keys() - {"tutorial"}:  # compiles, starts threads, fills caches
        epochs[name]()
    times = {name: [] for name in (*epochs, "product")}
    for r in range(rounds):
        for name in times:
            if name == "product":
                spent, note = product(), ""
            elif name != "tutorial" or r < slow_rounds:
                spent, loss = timed(epochs[name])
                note = f"loss {loss:.1f}"
            else:
                continue
            times[name].append(spent)
            print(f"{r + 1}/{rounds}  {ROWS[name]:32} {spent:8.3f} s  {note}", flush=True)

    median = {name: statistics.median(values) for name, values in times.items() if values}
    flops = matmul_flops((math.prod(images.shape[1:]), hidden, latent), num_steps * batch)
    rate = 2 * MATMUL_SIZE**3 / median["product"]
    results = {f"{name}/jaxvae": median[name] / median["jaxvae"] for name in epochs if name in median}
    results["matmul share"] = flops / rate / median["jaxvae"]
    print(f"\n{'seconds':32} {'median':>9} {'min':>9} {'max':>9} {'times (a)':>10}")
    for name, value in median.items():
        ratio = f"{results[f'{name}/jaxvae']:10.2f}" if name in epochs else ""
        print(f"{ROWS[name]:32} {value:9.3f} {min(times[name]):9.3f} {max(times[name]):9.3f} {ratio}")
    print(f"an epoch's products: {flops / 1e9:.1f} GFLOP at {rate / 1e9:.0f} GFLOP/s = {flops / rate:.3f} s, ", end="")
    print(f"matmul share {results['matmul share']:.0%}")
    print(json.dumps({"data": source, **machine, "versions": versions, "seconds": times, **results}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=60000, help="images in an epoch")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each, in turn")
    parser.add_argument("--slow_rounds", type=int, default=2, help="epochs of the tutorials' loop, which is slow")
    args = parser.parse_args()
    main(args.examples, args.rounds, args.slow_rounds)
