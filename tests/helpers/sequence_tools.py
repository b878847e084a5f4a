"""What the tests of sequences share: tiny models of text and music, their configs, and their numbers by plain loops."""

import functools
import itertools

import numpy as np

from configs import text_vae
from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import defaults
from jaxvae.models.vae import make_model
from jaxvae.objectives import KL_WEIGHTS, StepContext

SHAPES = {"text": (5,), "music": (5, 3)}  # the bars of two steps do not fill it
V = 6
NETWORKS = {
    "lstm": functools.partial(networks.lstm, embed_dim=3, hidden=4, encoder_hidden=5),
    "tied": functools.partial(networks.lstm, embed_dim=3, hidden=4, tied=True),
    "hierarchical": functools.partial(networks.hierarchical, bar=2, embed_dim=3, hidden=4, conductor=5),
}
CASES = [("text", "lstm"), ("text", "tied"), ("text", "hierarchical"), ("music", "lstm"), ("music", "hierarchical")]
ONE = KL_WEIGHTS["constant"]()
TRAINING, JUDGING = StepContext(0, 100, True), StepContext(0, 100)
NOISY = {"dropout": 0.5, "word_dropout": 0.5}
SPECS = {
    "text": DataSpec((5,), V, False, "text", ("<eos>", "<unk>", "a", "b", "c", "d")),
    "music": DataSpec((5, 3), 2, False, "music"),
    "images": DataSpec((8, 8, 1), 17),
}


def categorical(levels=V):
    return likelihoods.categorical(levels, (0.0, levels - 1.0))


def small(
    kind="text",
    network="lstm",
    context_dim=0,
    shape=None,
    levels=V,
    likelihood=None,
    posterior=None,
    latent=2,
    write=None,
    prior=priors.standard_normal,
    **options,
):
    """Five words of a vocabulary of six, or five frames of three pitches; two latent dimensions."""
    shape = shape or SHAPES[kind]
    levels = levels if kind == "text" else 2
    likelihood = likelihood or (categorical(levels) if kind == "text" else likelihoods.bernoulli())
    part = (posterior or posteriors.diagonal_gaussian)(latent)
    made = NETWORKS[network](shape, levels, **options)
    rest = {"data_shape": shape, "write": write, "context_dim": context_dim}
    return make_model(part, prior(latent), likelihood, made, **rest)


def batch(kind="text", lengths=(5, 1, 3, 4), seed=0):
    """Sequences of these lengths, `[N, 5]` or `[N, 5, 3]`; a sentence that does not fill the row ends with 0."""
    rng = np.random.default_rng(seed)
    x = np.full((len(lengths), *SHAPES[kind]), -1, np.float32)
    for row, length in zip(x, lengths, strict=True):
        row[:length] = rng.integers(1, V, length) if kind == "text" else rng.integers(0, 2, (length, 3))
        if kind == "text" and length < len(row):
            row[length - 1] = 0
    return x


def sentences(length, levels):
    """All that can be written: those that end, and those cut at `length`; `[S, length]`."""
    words = range(1, levels)
    ended = [(*s, 0) for n in range(length) for s in itertools.product(words, repeat=n)]
    every = [*ended, *itertools.product(words, repeat=length)]
    return np.array([[*s, *[-1] * (length - len(s))] for s in every], np.float32)


def conditionals(x, probabilities, levels):
    """`{beginning: p(token | beginning) [levels]}`, from the probabilities `[S]` of all sentences x `[S, T]`."""
    mass: dict[tuple, float] = {}
    for s, p in zip(x.astype(int).tolist(), probabilities, strict=True):
        for n in range(s.index(-1) + 1 if -1 in s else len(s) + 1):
            mass[tuple(s[:n])] = mass.get(tuple(s[:n]), 0.0) + p
    inner = {s[:-1] for s in mass if s}
    return {s: np.array([mass[(*s, token)] for token in range(levels)]) / mass[s] for s in inner}


def joined(x, steps):
    """The probabilities `[S]` of the sentences x that these p(token | beginning) make."""
    rows = [[t for t in s if t >= 0] for s in x.astype(int).tolist()]
    return np.array([np.prod([steps[tuple(s[:n])][s[n]] for n in range(len(s))]) for s in rows])


def config(kind="text", **sections):
    """Of tiny networks; a section replaces a part of the config."""
    made = text_vae.get_config().to_dict() if kind != "images" else defaults.get_config("test").to_dict()
    if kind != "images":
        made["network"] = {"name": "lstm", "embed_dim": 3, "hidden": 4, **NOISY}
        made["kl"] = {"name": "constant"}
        made["model"].update(latent_dim=2, likelihood={"name": "categorical" if kind == "text" else "bernoulli"})
        made["train"]["batch_size"] = 4
    for name, value in sections.items():
        section, _, key = name.rpartition("__")
        (made[section] if section else made)[key] = value
    return made


def pitches(frames):
    """The MIDI notes that sound in each frame."""
    return [(np.flatnonzero(frame) + 21).tolist() for frame in frames]
