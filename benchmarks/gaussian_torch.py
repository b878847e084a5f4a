"""Test log-likelihoods of Gaussian VAEs on real values, beside the same models written by hand in PyTorch.

python benchmarks/gaussian_torch.py            # needs PyTorch; 3 minutes on 2 cores

Wine (178 x 13, bundled with scikit-learn), 800 smooth spectra of 60 channels, and 800 log-expressions of 40 genes, the
latter two drawn here with a fixed seed. Both sides get the same rows, standardised by the training rows, the same
network (one hidden layer of 32, 3 latents), initial weights, optimiser, batch size and number of steps; only the order
of the rows and the noise differ. NLL by 500 importance samples, in nats per row of the standardised data, as the mean
of SEEDS runs: of jaxvae; of its trained weights in PyTorch; of PyTorch's training.
"""

import math
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from sklearn.datasets import load_wine

import jaxvae

HIDDEN, LATENT, BATCH, STEPS, SAMPLES, SEEDS = 32, 3, 32, 3000, 500, (0, 1)
Rows = tuple[np.ndarray, np.ndarray]


def data() -> dict[str, np.ndarray]:
    """Return the three data sets, `[N, features]` float32."""
    rng = np.random.default_rng(0)
    place = np.linspace(0, 1, 60)
    centres, heights = rng.uniform(0.2, 0.8, (800, 2, 1)), rng.gamma(3.0, 1.0, (800, 2, 1))
    spectra = (heights * np.exp(-0.5 * ((place - centres) / 0.08) ** 2)).sum(axis=1) + rng.normal(0, 0.05, (800, 60))
    rates = np.exp(rng.normal(size=(800, 3)) @ rng.normal(size=(3, 40)) * 0.7 + rng.normal(2.0, 1.0, 40))
    found = {"wine": load_wine(return_X_y=True)[0], "spectra": spectra, "log-expression": np.log1p(rng.poisson(rates))}
    return {name: x.astype(np.float32) for name, x in found.items()}


def split(x: np.ndarray) -> Rows:
    """Return four fifths of the rows for training and the rest for the test, drawn with a fixed seed."""
    order = np.random.default_rng(1).permutation(len(x))
    return x[order[len(x) // 5 :]], x[order[: len(x) // 5]]


def ours(train: np.ndarray, test: np.ndarray, learn: str, seed: int) -> tuple[float, dict[str, Any], dict[str, Any]]:
    """Train with jaxvae; return the test NLL in nats per row of the standardised data, and first and last weights."""
    epochs = math.ceil(STEPS / (len(train) // BATCH))
    settings = {
        "data.scaling": "standardize", "data.validation_fraction": 0.0, "model.latent_dim": LATENT, "seed": seed,
        "model.likelihood": {"name": "gaussian", "learn": learn}, "network.hidden": (HIDDEN,),
        "train.batch_size": BATCH, "train.num_epochs": epochs, "train.eval_every_epochs": epochs,
        "evaluate.checkpoint": "last",
    }  # fmt: skip
    run = jaxvae.fit("vae", {"x_train": train, "x_test": test}, settings, progress=False)
    start = jaxvae.objectives.elbo(run.model).init(jaxvae.train.stream(seed, "init"))[0]["model"]
    return -float(run.log_likelihood(test, SAMPLES).mean()) - run.spec.log_scale, start, run.params


def _network(start: dict[str, Any]) -> Any:
    """Make a network of PyTorch with the weights of one of Flax."""
    first, last = (torch.nn.Linear(*layer["kernel"].shape) for layer in start.values())
    for made, layer in zip((first, last), start.values(), strict=True):
        made.weight.data = torch.tensor(np.array(layer["kernel"]).T)
        made.bias.data = torch.tensor(np.array(layer["bias"]))
    return torch.nn.Sequential(first, torch.nn.ReLU(), last)


def theirs(train: np.ndarray, test: np.ndarray, learn: str, seed: int, start: dict[str, Any], steps: int) -> float:
    """Train the same model by hand in PyTorch from the weights `start`; return the same number."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # quicker for networks of this size
    shift, scale = train.mean(axis=0), train.std(axis=0)
    x, y = (torch.tensor((rows - shift) / scale) for rows in (train, test))
    encoder, decoder = _network(start["encoder"]), _network(start["decoder"])
    log_variance = torch.tensor(float(start["likelihood"]["log_variance"]) if learn == "shared" else 0.0)
    log_variance.requires_grad = learn == "shared"
    weights = [*encoder.parameters(), *decoder.parameters(), *([log_variance] if learn == "shared" else [])]
    optimizer = torch.optim.Adam(weights, lr=1e-3)

    def log_prob(value, mean, log_variance):
        return -0.5 * (math.log(2 * math.pi) + log_variance + (value - mean) ** 2 / torch.exp(log_variance)).sum(-1)

    def terms(x, count):
        mean, logs = encoder(x).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * logs) * torch.randn(count, *mean.shape)
        kl = 0.5 * (mean**2 + torch.exp(logs) - 1 - logs).sum(-1)
        weight = log_prob(z, torch.zeros(()), torch.zeros(())) - log_prob(z, mean, logs)
        return log_prob(x, decoder(z), log_variance), kl, weight

    for _ in range(math.ceil(steps / (len(x) // BATCH))):
        order = torch.randperm(len(x))
        for i in range(len(x) // BATCH):
            likelihood, kl, _ = terms(x[order[i * BATCH : (i + 1) * BATCH]], 1)
            optimizer.zero_grad()
            (kl - likelihood).mean().backward()
            optimizer.step()
    with torch.no_grad():
        likelihood, _, weight = terms(y, SAMPLES)
        return -float((torch.logsumexp(likelihood + weight, 0) - math.log(SAMPLES)).mean())


def main() -> None:
    """Print a line for each data set and likelihood: NLL, and differences from it."""
    print(f"{'data':<16}{'variance':<10}{'jaxvae':>9}{'PyTorch, its weights':>22}{'PyTorch, trained':>18}")
    for name, x in data().items():
        for learn in ("none", "shared"):
            found = []
            for seed in SEEDS:
                nll, first, last = ours(*split(x), learn, seed)
                found.append((nll, *(theirs(*split(x), learn, seed, *of) for of in ((last, 0), (first, STEPS)))))
            mine, same, other = np.mean(found, axis=0)
            differences = (
                f"{same:13.3f} {(same - mine) / abs(mine):8.3%}{other:10.3f} {(other - mine) / abs(mine):7.2%}"
            )
            print(f"{name:<16}{learn:<10}{mine:9.3f}{differences}", flush=True)


if __name__ == "__main__":
    main()
