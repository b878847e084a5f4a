"""What a config says about sequences: what is built, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sequence_tools import NETWORKS, SPECS, config

from jaxvae import networks
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, defaults, setup


@pytest.mark.parametrize(("kind", "sections", "message"), [
    ("text", {"network": {"name": "mlp"}}, "'mlp' does not fit this data, which is sequences: take the network 'lstm'"),
    ("music", {"network": {"name": "mlp"}}, "'mlp' does not fit this data"),
    ("images", {"network": {"name": "lstm"}}, r"'lstm' reads sequences.*\(8, 8, 1\)"),
    ("images", {"network": {"name": "hierarchical"}}, "'hierarchical' reads sequences"),
    ("text", {"model__likelihood": {"name": "bernoulli"}}, "'bernoulli' does not fit a step of text"),
    ("text", {"model__likelihood": {"name": "gaussian"}}, "'gaussian' does not fit a step of text"),
    ("music", {"model__likelihood": {"name": "squared_error"}}, "'squared_error' does not fit a step of music"),
    ("music", {"network": {"name": "lstm", "tied": True}}, "tied=True, which is for tokens"),
    ("text", {"network": {"name": "lstm", "hidden": 0}}, "hidden=0; it must be 1 or more"),
    ("text", {"network": {"name": "lstm", "embed_dim": 0}}, "embed_dim=0; it must be 1 or more"),
    ("text", {"network": {"name": "lstm", "encoder_hidden": -1}}, "encoder_hidden=-1; it must be 0 or more"),
    ("text", {"network": {"name": "lstm", "dropout": 1.0}}, "dropout=1.0; it must be from 0 to below 1"),
    ("text", {"network": {"name": "lstm", "word_dropout": -0.1}}, "word_dropout=-0.1; it must be from 0 to below 1"),
    ("music", {"network": {"name": "hierarchical", "bar": 0}}, "bar=0; it must be 1 or more"),
    ("music", {"network": {"name": "hierarchical", "conductor": 0}}, "conductor=0; it must be 1 or more"),
    ("music", {"network": {"name": "hierarchical", "word_dropout": 1.0}}, "word_dropout=1.0"),
    ("text", {"sample__decoding": {"name": "gready"}}, "Unknown decoding 'gready'. Did you mean 'greedy'"),
    ("text", {"sample__decoding": {"name": "beam", "widht": 3}}, "Unknown option 'widht' of the decoding 'beam'"),
    ("text", {"sample__decoding": {"name": "beam", "width": 0}}, "width=0; it must be 1 or more"),
    ("text", {"sample__decoding": {"name": "random", "temperature": 0.0}}, "temperature=0.0; it must be above 0"),
    ("text", {"sample__decoding": {"name": "random", "top_k": -1}}, "top_k=-1; it must be 0 or more"),
])  # fmt: skip
def test_what_does_not_fit_sequences_is_refused(kind, sections, message):
    with pytest.raises(UserError, match=message):
        build.model(config(kind, **sections), SPECS[kind])


def test_a_row_of_numbers_is_no_sentence():
    settings = config("images", network={"name": "lstm"}, model__likelihood={"name": "gaussian"})
    with pytest.raises(UserError, match="does not fit this data, which is not sequences: take the network 'mlp'"):
        build.model(settings, DataSpec((6,), is_float=True))


@pytest.mark.parametrize(("sections", "message"), [
    ({"data__pixel_range": (0.0, 1.0)}, r"data.pixel_range is \(0.0, 1.0\), but text is not preprocessed: set it"),
    ({"data__binarization": "dynamic"}, "data.binarization is 'dynamic', but text is not preprocessed"),
    ({"data__image_size": 8}, "data.image_size is 8"),
    ({"data__stream": True}, "data.stream is True"),
    ({"data__kind": "txt"}, "Unknown value of data.kind 'txt'. Did you mean 'text'"),
    ({"data__kind": "music"}, "no data of that kind has the name 'sentences': take 'melodies'"),
    ({"data__name": "ptb"}, "no data of that kind has the name 'ptb': take 'sentences', which is bundled"),
    ({"network": {"name": "mlp"}}, "'mlp' does not fit this data"),
])  # fmt: skip
def test_settings_of_images_are_refused_for_sequences(sections, message):
    with pytest.raises(UserError, match=message):
        setup.setup(config(**sections))


def test_the_bundled_text_gives_the_model_its_shape():
    made = setup.setup(config())
    assert made.model.data.is_sequential
    assert made.model.data_shape == made.dataset.shape == made.spec.shape
    assert made.spec.levels == len(made.spec.vocabulary) == len(made.dataset.vocabulary)
    assert NETWORKS["lstm"](made.spec.shape, made.spec.levels).is_sequential
    assert not networks.mlp().is_sequential


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("text", {"objective": {"name": "denoising"}}, "'denoising' adds noise to single values"),
        ("music", {"objective": {"name": "denoising"}}, "'denoising' adds noise to single values"),
        ("text", {"objective": {"name": "contractive"}}, "tokens are whole numbers"),
        ("text", {"prior": {"name": "vamp", "components": 2}}, "'vamp' learns pseudo-inputs by gradients"),
        ("music", {"likelihood": {"name": "negative_binomial"}}, "'negative_binomial' does not fit a step of music"),
        ("music", {"decoding": {"name": "beam"}}, "'beam' searches among tokens"),
        ("music", {"decoding": {"name": "random", "top_k": 2}}, "'random' scales logits"),
        ("music", {"likelihood": {"name": "gaussian"}}, "'gaussian' does not fit a step of music"),
    ],
)
def test_what_has_no_meaning_for_sequences_is_refused_when_built(kind, changes, message):
    config = defaults.get_config("test").to_dict()
    config["data"]["pixel_range"] = ()
    config["network"] = {"name": "lstm", "hidden": 4, "embed_dim": 3}
    config["model"] |= {"latent_dim": 2, "likelihood": {"name": "categorical" if kind == "text" else "bernoulli"}}
    config["model"] |= {key: changes[key] for key in ("prior", "likelihood") if key in changes}
    config["objective"] = changes.get("objective", {"name": "elbo", "kl_estimate": "monte_carlo"})
    config["sample"]["decoding"] = changes.get("decoding", {"name": "greedy"})
    shape, levels = ((5,), 6) if kind == "text" else ((5, 3), 2)
    spec = DataSpec(shape, levels, sequence=kind)
    with pytest.raises(UserError, match=message):
        build.objective(config, build.model(config, spec), spec, total_steps=10)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["lstm", "hierarchical"])
def test_longer_sequences_than_the_data_has_and_one_context_alone(network):
    config = defaults.get_config("test").to_dict()
    config["data"]["pixel_range"] = ()
    config["network"] = {"name": network, "hidden": 4, "embed_dim": 3}
    config["model"] |= {"latent_dim": 2, "likelihood": {"name": "bernoulli"}}
    model = build.model(config, DataSpec((5, 3), 2, sequence="music", context_dim=2))
    params = jax.jit(model.init)(jax.random.key(0))
    x = jnp.pad(jnp.ones((1, 5, 3)), ((0, 0), (0, 9), (0, 0)), constant_values=-1)
    likelihood = model.decode(params, jnp.ones((1, 2)), jnp.ones((1, 2)))
    np.testing.assert_allclose(likelihood.log_prob(x), likelihood.log_prob(x[:, :5]), rtol=1e-6)
