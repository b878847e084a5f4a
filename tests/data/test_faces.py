"""Faces: those of CelebA by TFDS with their 40 attributes, as a prepared set of the same form; the Frey faces."""

import io
import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

import launch
from configs import celeba, frey
from jaxvae import UserError, data
from jaxvae.experiment.setup import setup
from jaxvae.objectives import StepContext

FEATURE = "tensorflow_datasets.core.features."
ATTRIBUTES = [
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
]  # fmt: skip
LANDMARKS = ["lefteye_x", "lefteye_y", "nose_x"]
SIZES = {"train": 24, "validation": 6, "test": 8}


def features():
    def tensors(names, kind):
        tensor = {"shape": {}, "dtype": kind, "encoding": "none"}
        one = {"pythonClassName": FEATURE + "tensor_feature.Tensor", "tensor": tensor}
        return {
            "pythonClassName": FEATURE + "features_dict.FeaturesDict",
            "featuresDict": {"features": dict.fromkeys(names, one)},
        }

    image = {"shape": {"dimensions": ["218", "178", "3"]}, "dtype": "uint8", "encodingFormat": "jpeg"}
    top = {
        "image": {"pythonClassName": FEATURE + "image_feature.Image", "image": image},
        "attributes": tensors(ATTRIBUTES, "bool"), "landmarks": tensors(LANDMARKS, "int64"),
    }  # fmt: skip
    return {"pythonClassName": FEATURE + "features_dict.FeaturesDict", "featuresDict": {"features": top}}


def face(rng):
    """218 rows of 178 pixels, smooth in 16 x 16 blocks of noise, as a JPEG; and its pixels."""
    small = Image.fromarray(rng.integers(0, 256, (14, 12, 3), np.uint8))
    stored = io.BytesIO()
    small.resize((178, 218), Image.Resampling.BILINEAR).save(stored, "JPEG", quality=95)
    return stored.getvalue(), np.asarray(Image.open(stored))


@pytest.fixture(scope="module")
def celeb_a(tmp_path_factory):
    """`(folder, {split: pixels}, {split: attributes})` of a small `celeb_a` as `tfds build` leaves it."""
    root, rng = tmp_path_factory.mktemp("tfds"), np.random.default_rng(0)
    folder = root / "celeb_a" / "2.1.0"
    folder.mkdir(parents=True)
    pixels, attributes = {}, {}
    for split, size in SIZES.items():
        jpegs, pixels[split] = zip(*(face(rng) for _ in range(size)), strict=True)
        attributes[split] = rng.integers(0, 2, (size, len(ATTRIBUTES)))
        attributes[split][:2] = [[0], [1]]  # both values of each, whatever was drawn
        writer = ArrayRecordWriter(str(folder / f"celeb_a-{split}.array_record-00000-of-00001"), "group_size:1")
        for jpeg, row in zip(jpegs, attributes[split], strict=True):
            example = tf_example_pb2.Example()
            example.features.feature["image"].bytes_list.value.append(jpeg)
            values = {f"attributes/{name}": value for name, value in zip(ATTRIBUTES, row, strict=True)}
            for name, value in (values | {f"landmarks/{name}": 7 for name in LANDMARKS}).items():
                example.features.feature[name].int64_list.value.append(int(value))
            writer.write(example.SerializeToString())
        writer.close()
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    splits = [
        {"name": split, "filepathTemplate": template, "shardLengths": [str(size)], "numBytes": "90000"}
        for split, size in SIZES.items()
    ]
    info = {"name": "celeb_a", "version": "2.1.0", "fileFormat": "array_record", "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(json.dumps(features()))
    return root, pixels, attributes


@pytest.mark.parametrize("stream", [False, True])
def test_celeb_a_has_its_splits_and_its_attributes_as_factors(celeb_a, tmp_path, stream):
    root, pixels, attributes = celeb_a
    faces = data.load("celeb_a", data_dir=str(root), cache_dir=str(tmp_path), stream=stream)
    assert (faces.shape, faces.max_value, faces.factor_names) == ((218, 178, 3), 255, tuple(ATTRIBUTES))
    for split in SIZES:
        found = getattr(faces, split)
        np.testing.assert_array_equal(np.asarray(found.x), pixels[split])
        np.testing.assert_array_equal(found.factors, attributes[split])
        assert found.label is None
        assert set(found.arrays) == {"x"}  # attributes take no part in training
    assert "tensorflow" not in sys.modules


def test_faces_are_cropped_to_the_central_178_pixels_and_made_smaller(celeb_a, tmp_path):
    root, pixels, _ = celeb_a
    memory, streamed = (
        data.load("celeb_a", data_dir=str(root), cache_dir=str(tmp_path), image_size=64, stream=stream)
        for stream in (False, True)
    )
    assert memory.shape == (64, 64, 3)
    for split in SIZES:
        np.testing.assert_array_equal(np.asarray(getattr(streamed, split).x), getattr(memory, split).x)
    # Averages of whole numbers of pixels: 178 = 2 x 89.
    halves = data.load("celeb_a", data_dir=str(root), cache_dir=str(tmp_path), image_size=89)
    square = np.stack(pixels["test"])[:, 20:198].astype(float)
    np.testing.assert_allclose(halves.test.x, square.reshape(-1, 89, 2, 89, 2, 3).mean((2, 4)), atol=1)


def fitted(config):
    """What a config builds, and the shape of the losses of a batch of 8: nothing is compiled."""
    experiment = setup(config.to_dict())
    (x,) = data.make_feed(experiment.dataset.train, 8, 0, resident_bytes=0).items(0, 1)["x"]

    def loss(key):
        init_key, data_key, loss_key = jax.random.split(key, 3)
        batch = {"x": experiment.preprocess(data_key, x)}
        return experiment.objective.loss(*experiment.objective.init(init_key), batch, loss_key, StepContext(0, 8))

    return experiment, jax.eval_shape(loss, jax.random.key(0)).losses["model"]


def run(config, workdir, *more):
    argv = ["launch.py", f"--config=configs/{config}", "--config.train.num_epochs=1", "--config.evaluate.report=False",
         "--config.figures.draw=False",
            "--config.evaluate.nll_samples=2", "--config.evaluate.metrics=", "--config.train.batch_size=8"]  # fmt: skip
    assert launch.main([*argv, f"--workdir={workdir}", *more], time.time()) == 0
    return json.loads((Path(workdir) / "results.json").read_text())


def test_the_config_of_celeb_a_fits_faces_of_64_pixels(celeb_a, tmp_path):
    config = celeba.get_config("celeb_a")
    config.data.update({"data_dir": str(celeb_a[0]), "cache_dir": str(tmp_path), "stream": True})
    experiment, loss = fitted(config)
    assert experiment.dataset.shape == experiment.model.data_shape == (64, 64, 3)
    assert loss.shape == (8,)
    assert celeba.get_config().data.image_size == 0  # the digits, as they are


@pytest.mark.slow
def test_the_config_of_celeb_a_trains(celeb_a, tmp_path):
    where = [f"--config.data.data_dir={celeb_a[0]}", f"--config.data.cache_dir={tmp_path}"]
    found = run("celeba.py:celeb_a", tmp_path / "run", "--config.data.stream=True", *where)
    assert np.isfinite(found["test"]["loss"])


def test_attributes_that_are_no_yes_or_no_are_no_factors(celeb_a, tmp_path):
    """Of the landmarks, and of attributes of another kind, nothing is made."""
    root = tmp_path / "other"
    folder = root / "celeb_a" / "2.1.0"
    folder.mkdir(parents=True)
    for path in (celeb_a[0] / "celeb_a" / "2.1.0").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "features.json").write_text((folder / "features.json").read_text().replace('"bool"', '"int64"'))
    faces = data.load("celeb_a", data_dir=str(root), cache_dir=str(tmp_path))
    assert faces.factor_names == ()
    assert faces.train.factors is None


# Frey faces.


@pytest.fixture
def faces_file(tmp_path):
    """A file of the form of freyfaces.npz: uint8 [N, 28, 20] by the name `images`."""
    images = np.random.default_rng(0).integers(0, 256, (120, 28, 20), np.uint8)
    np.savez(tmp_path / "freyfaces.npz", images=images)
    return str(tmp_path / "freyfaces.npz")


def test_grey_faces_without_a_channel_axis_get_one(faces_file):
    config = frey.get_config("frey")
    config.data.path = faces_file
    experiment, loss = fitted(config)
    faces = experiment.dataset
    assert (faces.shape, faces.max_value, experiment.model.data_shape) == ((28, 20, 1), 255, (28, 20, 1))
    assert sum(len(split.x) for split in faces[1:4]) == 120
    assert loss.shape == (8,)


@pytest.mark.slow
def test_the_config_of_frey_faces_trains(faces_file, tmp_path):
    found = run("frey.py:frey", tmp_path / "run", f"--config.data.path={faces_file}")
    assert np.isfinite(found["test"]["elbo"])
    assert found["test"]["nll"] is not None  # a density


@pytest.mark.slow
def test_faces_are_compared_by_the_features_of_an_encoder(faces_file, tmp_path):
    first, path = tmp_path / "first", f"--config.data.path={faces_file}"
    run("conv_vae.py:frey", first, path)
    found = run("dfc_vae.py:frey", tmp_path / "run", path, f"--config.objective.features.run={first}")
    assert 0 < found["test"]["perceptual"] < np.inf


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kl_autoencoder", "vq_gan"])
def test_latents_of_a_map_fit_the_faces(name, faces_file, tmp_path):
    found = run(
        f"{name}.py:frey", tmp_path / "run", f"--config.data.path={faces_file}", "--config.objective.features.run="
    )
    assert np.isfinite(found["test"]["loss"])


def test_the_config_of_frey_faces_names_the_numbers_of_epochs_for_them():
    config = frey.get_config("frey")
    assert (config.train.num_epochs, config.model.latent_dim, config.name) == (1000, 20, "frey-frey")
    assert frey.get_config().data.name == "frey"


@pytest.mark.parametrize("shape", [(40,), (40, 28, 20, 1, 1)])
def test_a_number_of_axes_that_no_image_has_is_refused(tmp_path, shape):
    np.savez(tmp_path / "a.npz", images=np.ones(shape, np.uint8))
    with pytest.raises(UserError, match=r"expected \[N, features\], \[N, height, width\] or"):
        data.load(path=str(tmp_path / "a.npz"))
