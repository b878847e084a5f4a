"""Layers of fixed networks: of our own networks, and of named architectures whose weights come from files."""

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from scipy.signal import correlate
from slow_cases import fast_rows
from tensor_files import tensors_of, write_safetensors

from jaxvae import networks
from jaxvae.common.errors import UserError
from jaxvae.common.tensors import read_tensors
from jaxvae.models.features import holds_heads, load_pretrained, make_features, pretrained_features
from jaxvae.networks.pretrained import ARCHITECTURES, least_side

RNG = np.random.default_rng(0)


def test_arrays_of_both_formats_are_read(tmp_path):
    low = np.full(3, 1.5, ml_dtypes.bfloat16)
    arrays = {
        "a": np.float32([[1, 2], [3, 4]]),
        "b": np.float16([0.5]),
        "c": low,
        "d": np.array(7.0),
        "n": np.array([1]),
    }
    write_safetensors(tmp_path / "all.safetensors", arrays)
    np.savez(tmp_path / "all.npz", allow_pickle=False, **{name: arrays[name] for name in "abdn"})
    found = read_tensors(tmp_path / "all.safetensors")
    assert found.keys() == {"a", "b", "c", "d"}
    for name, array in found.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays[name].astype(np.float32))
    assert read_tensors(tmp_path / "all.npz").keys() == {"a", "b", "d"}


def test_files_that_hold_no_arrays_are_refused(tmp_path):
    write_safetensors(tmp_path / "whole.safetensors", {"a": np.ones(4, np.float32)})
    content = (tmp_path / "whole.safetensors").read_bytes()
    bad = {
        "cut.safetensors": content[:-4], "short.safetensors": content[:5], "empty.safetensors": b"",
        "long.safetensors": (10**9).to_bytes(8, "little") + content[8:], "text.npz": b"hello",
        "list.safetensors": (2).to_bytes(8, "little") + b"[]", "none.safetensors": (2).to_bytes(8, "little") + b"{}",
    }  # fmt: skip
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    write_safetensors(tmp_path / "nan.safetensors", {"a": np.float32([np.nan])})
    for name in [*bad, "nan.safetensors", "missing.npz", "weights.pth"]:
        with pytest.raises(UserError, match=r"cannot be read|hold no arrays|not finite|must be an .npz or a .safe"):
            read_tensors(tmp_path / name)


@pytest.mark.parametrize(("architecture", "side"), fast_rows([("vgg16", 16), ("alexnet", 31)], ("alexnet", 31)))
def test_layers_of_an_architecture_are_those_of_its_weights(tmp_path, architecture, side):
    """The first layers against SciPy's correlation; the shapes of all."""
    assert least_side(architecture) == side
    tensors = tensors_of(architecture, heads=True, slices=True)
    write_safetensors(
        tmp_path / "lpips.safetensors", tensors | {"scaling_layer.shift": np.ones((1, 3, 1, 1), np.float32)}
    )
    assert holds_heads(str(tmp_path / "lpips.safetensors"))
    features = pretrained_features(architecture, (side, side + 2, 3), with_heads=True)
    params = load_pretrained(architecture, str(tmp_path / "lpips.safetensors"))
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, jax.eval_shape(features.init, jax.random.key(0)))
    x = RNG.uniform(size=(2, side, side + 2, 3)).astype(np.float32)
    found = jax.jit(features.layers)(params, x)
    stages = ARCHITECTURES[architecture]
    assert [layer.shape[-1] for layer in found] == [stage.channels for stage in stages]
    first = stages[0]
    # torchvision's normalisation of pixels in [0, 1]
    h = ((x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])).transpose(0, 3, 1, 2)
    for place in first.places:
        kernel, bias = (tensors[f"net.slice1.{place}.{kind}"] for kind in ("weight", "bias"))
        pad = ((0, 0), (0, 0), *((first.padding,) * 2,) * 2)
        h = np.stack([[sum(correlate(image[c], one[c], "valid") for c in range(len(one))) for one in kernel]
                      for image in np.pad(h, pad)])[..., :: first.stride, :: first.stride]  # fmt: skip
        h = np.maximum(h + bias[:, None, None], 0)
    np.testing.assert_allclose(found[0], h.transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-3)
    for head, i in zip(features.heads(params), range(5), strict=True):
        np.testing.assert_array_equal(head, tensors[f"lin{i}.model.1.weight"].ravel())


def test_a_network_and_its_heads_come_from_two_files(tmp_path):
    tensors = tensors_of("alexnet", heads=True)
    heads = {name: array for name, array in tensors.items() if name.startswith("lin")}
    np.savez(tmp_path / "lpips.npz", allow_pickle=False, **heads)
    rest = {name: array for name, array in tensors.items() if name not in heads}
    np.savez(tmp_path / "net.npz", allow_pickle=False, **rest, **{"classifier.1.weight": np.ones((2, 3))})
    both = f"{tmp_path / 'net.npz'}, {tmp_path / 'lpips.npz'}"
    grey = pretrained_features("alexnet", (32, 32, 1), (-1.0, 1.0), layers=(1, 3), with_heads=True)
    params = load_pretrained("alexnet", both)
    x = RNG.uniform(-1, 1, size=(1, 32, 32, 1)).astype(np.float32)
    colour = pretrained_features("alexnet", (32, 32, 3))
    wanted = colour.layers(params, jnp.asarray((np.repeat(x, 3, axis=-1) + 1) / 2))
    for one, other in zip(grey.layers(params, x), [wanted[1], wanted[3]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert [head.shape for head in grey.heads(params)] == [(192,), (256,)]
    assert colour.heads({"params": params["params"]}) == [1.0] * 5
    assert not holds_heads(str(tmp_path / "net.npz"))


def test_weights_of_another_layout_are_refused_by_the_first_array_that_differs(tmp_path):
    tensors = tensors_of("alexnet")
    for change, said in (
        ({"features.3.weight": np.ones((192, 64, 3, 3))},
         r"features.3.weight has the shape \[192, 64, 3, 3\], but it must have the shape \[192, 64, 5, 5\]"),
        ({"features.6.bias": None}, r"features.6.bias is missing, but it must have the shape \[384\]"),
        ({"lin0.model.1.weight": np.ones((1, 64, 1, 1))}, r"lin1.model.1.weight is missing"),
    ):  # fmt: skip
        arrays = {name: array for name, array in (tensors | change).items() if array is not None}
        np.savez(tmp_path / "net.npz", allow_pickle=False, **arrays)
        with pytest.raises(UserError, match=said):
            load_pretrained("alexnet", str(tmp_path / "net.npz"))
    with pytest.raises(UserError, match=r"not of the architecture 'vgg16': features.0.weight has the shape"):
        load_pretrained("vgg16", str(tmp_path / "net.npz"))
    with pytest.raises(UserError, match=re.escape("Unknown architecture 'vgg'. Did you mean 'vgg16'?")):
        pretrained_features("vgg", (32, 32, 3))
    for shape in ((30, 40, 3), (40, 40, 2), (1600,)):
        with pytest.raises(UserError, match=r"at least 31 pixels a side, but an example has the shape"):
            pretrained_features("alexnet", shape)


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (networks.mlp((7, 5)), [(7,), (5,)]),
        (networks.conv((4, 6), hidden=(3,)), [(4, 4, 4), (2, 2, 6), (3,)]),
        (networks.conv((4, 8), norm="group", groups=2), [(4, 4, 4), (2, 2, 8)]),
        (networks.conv_pool((4, 2)), [(3, 3, 4), (1, 1, 2)]),
        (networks.resnet((4, 4), groups=2), [(4, 4, 4), (2, 2, 4)]),
    ],
)
def test_hidden_layers_of_our_networks(network, shapes):
    made = networks.functions(network.encoder((8, 8, 1), 2))
    features = make_features(made, (8, 8, 1))
    params = jax.eval_shape(features.init, jax.random.key(0))
    assert params.keys() == {"params"}
    found = jax.eval_shape(features.layers, params, jnp.zeros((3, 8, 8, 1)))
    assert [layer.shape for layer in found] == [(3, *shape) for shape in shapes]
    with pytest.raises(UserError, match=rf"has layers 0 to {len(shapes) - 1}"):
        make_features(made, (8, 8, 1), layers=(len(shapes),))


def test_hidden_layers_of_an_mlp_by_hand():
    features = make_features(networks.functions(networks.mlp((7, 5)).encoder((6,), 2)), (6,))
    params = jax.jit(features.init)(jax.random.key(0))
    h = RNG.normal(size=(4, 6)).astype(np.float32)
    (last,) = make_features(
        networks.functions(networks.mlp((7, 5)).encoder((6,), 2)), (6,), lambda x: 2 * x, (1,)
    ).layers(params, h / 2)
    np.testing.assert_allclose(last, features.layers(params, h)[1], rtol=1e-5)
    for i, layer in enumerate(features.layers(params, h)):
        dense = params["params"][f"Dense_{i}"]
        h = np.maximum(h @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"]), 0)
        np.testing.assert_allclose(layer, h, rtol=1e-4, atol=1e-5)


def test_weights_of_layers():
    made = networks.functions(networks.mlp((7, 5)).encoder((6,), 2))
    assert make_features(made, (6,)).weights == (1.0, 1.0)
    assert make_features(made, (6,), layers=(1,), layer_weights=(3,)).weights == (3.0,)
    for wrong in ((1.0,), (1.0, -1.0), (1.0, float("nan"))):
        with pytest.raises(UserError, match="must be 2 numbers of 0 or more"):
            make_features(made, (6,), layer_weights=wrong)


def test_a_network_without_known_layers_is_refused():
    bare = networks.Functions(lambda key, x: {"params": {}}, lambda variables, x, key=None: (x, {}))
    with pytest.raises(UserError, match="no known hidden layers"):
        make_features(bare, (6,))
    with pytest.raises(UserError, match="has no hidden layer"):
        make_features(networks.functions(networks.mlp(()).encoder((6,), 2)), (6,))
