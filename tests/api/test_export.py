"""Exported programs agree with the model, and what cannot be exported is refused with the part."""

import json
import shutil
import time

import huggingface_hub
import jax
import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
from export_tools import given_and_wanted, run_fresh, untrained, write_with_inputs
from hub_stand_in import hub
from huggingface_hub import constants
from slow_cases import fast

import jaxvae
import launch
from jaxvae import UserError
from jaxvae.api.export import onnx, programs
from jaxvae.experiment import configs

SMALL = {"network.hidden": (8,), "model.latent_dim": 3}
PARTS = {  # configs that differ in their parts
    "vae": SMALL,
    "conv_vae": {"network.channels": (4, 8), "model.latent_dim": 3},
    "cvae": SMALL,
    "vq_vae": {},
    "planar_vae": SMALL,
    "table_vae": SMALL,
    "text_vae": {"network.hidden": 8, "network.embed_dim": 4, "model.latent_dim": 3},
    "music_vae": {},
}
TINY = {"network.hidden": (8,), "train.num_epochs": 2, "train.batch_size": 32, "train.steps_per_call": 5,
        "train.eval_every_epochs": 1, "model.latent_dim": 3, "evaluate.nll_samples": 4, "figures.draw": False,
        "evaluate.metrics": ""}  # fmt: skip
QUICK = ("vae", "cvae")
ELSEWHERE = {"frey", "celeba"}  # of data that is not bundled
STAGES = {"dfc_vae", "kl_autoencoder", "latent_constraints", "m1_m2", "vq_gan"}  # that start from another run


def agree(folder, names, settings):
    folders = [folder / name for name in names]
    for place in folders:
        write_with_inputs(place, *untrained(place.name, settings.get(place.name)))
    assert run_fresh(*folders) == [str(place) for place in folders]


def test_programs_agree_with_the_model_in_a_process_without_jaxvae(tmp_path):
    agree(tmp_path, QUICK, PARTS)


@pytest.mark.slow
def test_programs_of_other_parts_agree_too(tmp_path):
    agree(tmp_path, [name for name in PARTS if name not in QUICK], PARTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(configs.installed().keys() - ELSEWHERE - STAGES))
def test_programs_of_every_config_agree(tmp_path, name):
    agree(tmp_path, [name], {})


@pytest.mark.parametrize("name", fast({name: PARTS[name] for name in ("vae", "conv_vae", "cvae", "table_vae")}, "cvae"))
def test_onnx_agrees_with_the_model_for_batches_of_any_size(tmp_path, name):
    experiment, params = untrained(name, PARTS[name])
    files = programs.write(experiment.model, params, experiment.config, experiment.spec, tmp_path, "onnx")
    assert [path.name for path in files] == ["encoder.onnx", "decoder.onnx", "export.json"]
    wanted, index = given_and_wanted(experiment, params), json.loads(files[-1].read_text())
    for part, about in index["functions"].items():
        session = onnxruntime.InferenceSession(tmp_path / about["file"])
        assert [each.name for each in session.get_inputs()] == list(about["inputs"])
        for rows in (slice(None), slice(1)):
            found = session.run(None, {given: np.asarray(wanted[part][given])[rows] for given in about["inputs"]})
            for output, values in zip(about["outputs"], found, strict=True):
                other = np.asarray(wanted[part][f"{output}_out"])[rows]
                np.testing.assert_allclose(values, other, atol=1e-4 * max(1.0, np.abs(other).max()))


@pytest.fixture(scope="module")
def run(images):
    return jaxvae.fit("vae", images, TINY, progress=False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run):
    folder = tmp_path_factory.mktemp("exported") / "weights"
    run.export(folder, license="apache-2.0")
    return folder


def test_exported_weights_are_read_as_a_run_with_the_same_numbers(images, run, exported):
    loaded = jaxvae.load(exported, data=images)
    np.testing.assert_array_equal(loaded.encode(images), run.encode(images))
    assert loaded.history == run.history
    assert loaded.evaluate()["test"] == run.evaluate()["test"]
    model, params = jaxvae.restore(exported)
    np.testing.assert_array_equal(jaxvae.sample(model, params, jax.random.key(0), 2).shape, (2, 4, 4, 1))
    with pytest.raises(UserError, match=r"exported weights of step 4 alone, and no checkpoint '3'"):
        jaxvae.load(exported, "3")
    with pytest.raises(UserError, match=r"has exported weights alone: give report\(folder\)"):
        loaded.report()
    with pytest.raises(UserError, match=r"cannot be trained on.*train.start_from="):
        jaxvae.fit(loaded.config, images, workdir=exported, progress=False)
    warm = jaxvae.fit("vae", images, {**TINY, "train.start_from": str(exported), "train.num_epochs": 1}, progress=False)
    assert warm.history[0]["loss"] < run.history[0]["loss"]


def test_the_folder_is_one_of_a_model_of_the_hub(run, exported):
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert names == {"README.md", "config.json", "metrics.jsonl", "model.safetensors", "results.json"}
    card = huggingface_hub.ModelCard.load(exported / "README.md")
    assert card.data.library_name == "jaxvae"
    assert card.data.license == "apache-2.0"
    assert {each.metric_type: each.metric_value for each in card.data.eval_results}["loss"] == pytest.approx(
        run.evaluate()["test"]["loss"]
    )
    assert card.data.eval_results[0].dataset_name == "arrays"
    for said in (
        "| model.posterior | `diagonal_gaussian` |",
        "latent_dim=3",
        "arrays, examples of shape [4, 4, 1]",
        "apache-2.0",
    ):
        assert said in card.text


def test_weights_of_another_layout_or_damaged_ones_are_refused(tmp_path, exported):
    shutil.copytree(exported, tmp_path / "other")
    config = json.loads((exported / "config.json").read_text())
    config["network"]["hidden"] = [5]
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=r"params.model.decoder.Dense_0.bias is \[8\] float32 there and \[5\] float32 here"
    ):
        jaxvae.load(tmp_path / "other")
    file = tmp_path / "other" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be read .*its checksum is wrong"):
        jaxvae.load(tmp_path / "other")
    safetensors.numpy.save_file({"a": np.zeros(2)}, file)
    with pytest.raises(UserError, match=r"cannot be read .*it was not written by jaxvae"):
        jaxvae.load(tmp_path / "other")
    file.write_bytes(content[:50])
    with pytest.raises(UserError, match=r"model.safetensors' cannot be read"):
        jaxvae.load(tmp_path / "other")


def test_what_cannot_be_exported_is_refused_with_what_to_take(tmp_path, run, monkeypatch):
    with pytest.raises(UserError, match=r"Unknown format 'onx'. Did you mean 'onnx'"):
        run.export(tmp_path / "a", "onx")
    with pytest.raises(UserError, match=r"Unknown part 'encode'. Did you mean 'encoder'"):
        run.export(tmp_path / "a", "stablehlo", parts=["encode"])
    with pytest.raises(UserError, match=r"random bits, which ONNX .* take format='stablehlo'"):
        run.export(tmp_path / "a", "onnx", parts=["sampler"])
    experiment, params = untrained("music_vae", {"network.hidden": 8, "network.embed_dim": 4, "network.conductor": 4})
    match = r"The encoder \(network 'hierarchical', posterior 'diagonal_gaussian'\) cannot be converted to ONNX"
    with pytest.raises(UserError, match=f"{match}.*Take format='stablehlo'"):
        programs.write(experiment.model, params, experiment.config, experiment.spec, tmp_path, "onnx")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with pytest.raises(UserError, match=r"is not empty"):
        run.export(tmp_path / "full")
    monkeypatch.setattr(onnx, "_difference", lambda found, wanted: float("nan"))
    with pytest.raises(UserError, match=r"The encoder .* converted to ONNX, but its output 'sd' differs"):
        run.export(tmp_path / "a", "onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    with hub() as found:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, found.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "mine")
        yield found


def test_what_is_pushed_is_loaded_by_its_name(tmp_path, server, images, run, capsys):
    run.save(tmp_path / "run")
    assert launch.main(["jaxvae", "push", str(tmp_path / "run"), "me/faces", "--license=mit"], time.time()) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "hf://me/faces"
    files = server.repositories["me/faces"]
    assert files.keys() == {"README.md", "config.json", "metrics.jsonl", "model.safetensors"}  # its data is not kept
    assert b'license: "mit"' in files["README.md"]
    for address in ("hf://me/faces", "hf://me/faces@main"):
        loaded = jaxvae.load(address)
        np.testing.assert_array_equal(loaded.encode(images), run.encode(images))
    assert loaded.history == run.history


def test_what_the_hub_refuses_is_said_in_one_paragraph(tmp_path, server, run, capsys, monkeypatch):
    run.save(tmp_path / "run")
    with pytest.raises(UserError, match=r"'hf://me/none' cannot be downloaded \(RepositoryNotFoundError"):
        jaxvae.load("hf://me/none")
    for name in ("faces", "me/faces/2", "me/fa ces"):
        with pytest.raises(UserError, match="is not the name of a repository of the hub: give OWNER/NAME"):
            jaxvae.load(f"hf://{name}")
    monkeypatch.setenv("HF_TOKEN", "other")
    assert launch.main(["jaxvae", "push", str(tmp_path / "run"), "me/faces"], time.time()) == 2
    said = capsys.readouterr().err
    assert "The hub does not take 'me/faces'" in said
    assert "hf auth login" in said
    assert server.repositories == {}


def test_the_command_exports_a_run(tmp_path, run, capsys):
    run.save(tmp_path / "run")
    argv = ["jaxvae", "export", str(tmp_path / "run"), "--format=stablehlo", "--parts=decoder"]
    assert launch.main([*argv, f"--out={tmp_path}/out"], time.time()) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/out/decoder.stablehlo", f"{tmp_path}/out/export.json"]
    for words, said in {
        ("export",): "Give the folder of a run: jaxvae export runs/mine",
        ("push", "a"): "Give the folder of a run and a name",
        ("export", "a", "--fromat=onnx"): "Did you mean 'format'?",
        ("export", str(tmp_path / "none")): "holds no run",
    }.items():
        assert launch.main(["jaxvae", *words], time.time()) == 2
        assert said in capsys.readouterr().err
    for command in ("export", "push"):
        assert launch.main(["jaxvae", command, "--help"], time.time()) == 0
        assert f"jaxvae {command} runs/vae-digits" in capsys.readouterr().out
