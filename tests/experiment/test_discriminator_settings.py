"""`objective.discriminator`: by flags and from Python, options that do not exist, data that does not fit."""

import jax
import pytest
from absl import flags

from jaxvae import networks
from jaxvae.api.given import as_settings
from jaxvae.api.settings import changed
from jaxvae.cli.flags import parse
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, configs
from jaxvae.experiment.features import with_features

AT = "objective.discriminator"
IMAGES, TABLE = DataSpec((8, 8, 1), 17), DataSpec((6,), is_float=True, value_range=(-3.0, 9.0))


def judge(width: int = 3) -> networks.DiscriminatorNetwork:
    return networks.mlp_discriminator((width,))


def config_of(*settings, name="vae_gan"):
    argv = ["jaxvae", f"--config={name}", *(f"--config.{setting}" for setting in settings)]
    return parse(argv, flags.FlagValues()).to_dict()


def built(config, spec=IMAGES):
    model = build.model(config, spec)
    return build.objective(config, model, spec, 10)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ((), {"network": "conv"}),
        ((f"{AT}.network=patch",), {"network": "patch"}),
        ((f"{AT}=patch", f"{AT}.kernel=3"), {"network": "patch", "kernel": 3}),
        ((f"{AT}.spectral_norm=True",), {"network": "conv", "spectral_norm": True}),
        (("objective=vae_gan", "objective.layer=0"), {"network": "conv"}),
        (("objective=elbo",), None),
    ],
)
def test_flags_choose_a_network_and_its_options(settings, wanted):
    assert config_of(*settings)["objective"].get("discriminator") == wanted


def test_an_objective_and_its_discriminator_are_chosen_together_in_either_order():
    both = ["objective=vae_gan", f"{AT}.network=mlp", f"{AT}.hidden=(5,)"]
    for settings in (both, both[::-1]):
        found = config_of(*settings, name="vae")["objective"]
        assert found == {"name": "vae_gan", "discriminator": {"network": "mlp", "hidden": (5,)}}


@pytest.mark.parametrize(
    "given",
    [
        {"objective": {"name": "vae_gan", "gamma": 0.5, "discriminator": {"network": "mlp", "hidden": [5]}}},
        {"objective": {"name": "vae_gan", "gamma": 0.5}, AT: {"network": "mlp", "hidden": (5,)}},
        {"objective": "vae_gan", "objective.gamma": 0.5, AT: "mlp", f"{AT}.hidden": (5,)},
    ],
)
def test_python_takes_dictionaries_and_names(given):
    changes, _ = as_settings(given)
    found = changed(configs.load("vae"), changes)["objective"]
    assert found == {"name": "vae_gan", "gamma": 0.5, "discriminator": {"network": "mlp", "hidden": (5,)}}


def test_python_takes_a_function():
    changes, objects = as_settings({f"{AT}.network": networks.patch_discriminator, "objective.gamma": 0.5})
    assert changes == {f"{AT}.network": "patch", "objective.gamma": 0.5}
    assert not objects
    config = changed(configs.load("vae_gan"), as_settings({f"{AT}.network": judge})[0])
    params = jax.eval_shape(built(config).init, jax.random.key(0))[0]
    assert params["discriminator"]["Dense_0"]["kernel"].shape == (64, 3)


def test_spectral_normalisation_has_state_of_its_own():
    plain, normalised = (built(config_of(f"{AT}=mlp", f"{AT}.spectral_norm={on}")) for on in (False, True))
    extras = [jax.eval_shape(made.init, jax.random.key(0))[1] for made in (plain, normalised)]
    assert extras[0] == {}
    assert sorted(extras[1]["groups"]["discriminator"]) == ["1", "3", "5"]  # of three kernels
    assert not built(config_of()).loops
    assert plain.loops


def test_an_image_autoencoder_can_do_without_features_and_a_perceptual_loss_cannot():
    config = with_features(config_of("objective.features.run=", name="kl_autoencoder"))
    assert not config["features"]
    assert jax.eval_shape(built(config).init, jax.random.key(0))[1] == {}
    with pytest.raises(UserError, match="compares features of a fixed network: name it"):
        built(with_features(config_of("objective.features.run=", name="dfc_vae")))


@pytest.mark.parametrize(
    ("settings", "spec", "said"),
    [
        ((f"{AT}=cnv",), IMAGES, "Unknown discriminator 'cnv'. Did you mean 'conv'"),
        ((f"{AT}.kernal=3",), IMAGES, "Unknown option 'kernal' of the discriminator 'conv'"),
        ((f"{AT}.kernel=x",), IMAGES, "got kernel='x'; it must be of type int"),
        ((f"{AT}.spectral_norm=1",), IMAGES, "got spectral_norm=1; it must be of type bool"),
        (("network=mlp",), TABLE, "'conv' is for images"),
        (("objective=elbo", f"{AT}=patch"), IMAGES, "'elbo' does not take a discriminator, which objective.discrim"),
        (("optimizer.groups.critic.every=2",), IMAGES, "Unknown group of parameters 'critic'. Known: discriminator"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_paragraph(settings, spec, said):
    config = config_of(*settings)
    with pytest.raises(UserError) as error:
        build.optimizer(config, built(config, spec), 10)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


MIXTURE = ("model.prior=mixture_of_gaussians", "model.prior.components=3", "objective.use_labels=True")


@pytest.mark.parametrize(
    ("settings", "spec", "said"),
    [
        (
            (f"{AT}.network=conv",),
            IMAGES,
            "images [height, width, channels], but an example has shape [8]",
        ),
        (("objective.use_labels=True",), IMAGES, "objective.use_labels is True, but the data has no labels"),
        ((*MIXTURE, "train.freeze=model.prior"), IMAGES, "the data has no labels"),
        (
            (*MIXTURE, "train.freeze=model.prior"),
            IMAGES._replace(labels=(0, 1, 2, 3)),
            "to each of the 4 classes, but the prior is a mixture of 3",
        ),
        (MIXTURE[:2], IMAGES, "has no term with the prior, so a learned prior would keep its initial values"),
        (("kl.beta=4.0",), IMAGES, "has no KL"),
    ],
)
def test_what_does_not_fit_an_adversarial_autoencoder_is_refused(settings, spec, said):
    config = config_of(*settings, name="aae")
    with pytest.raises(UserError) as error:
        built(config, spec)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_labels_of_the_data_reach_the_discriminator():
    config = config_of(*MIXTURE, "train.freeze=model.prior", name="aae")
    made = built(config, IMAGES._replace(labels=(0, 1, 2)))
    params = jax.eval_shape(made.init, jax.random.key(0))[0]
    assert params["discriminator"]["Dense_0"]["kernel"].shape == (8 + 3 + 1, 400)  # z, the classes, an unknown one


def test_the_names_of_a_run_hold_no_code():
    with pytest.raises(UserError, match="which is not imported"):
        built(config_of(f"{AT}=somewhere.else:judge"))
