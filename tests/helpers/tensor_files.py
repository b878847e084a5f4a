"""Files of weights in the layouts of the community, with random numbers."""

import json

import ml_dtypes
import numpy as np

from jaxvae.networks.pretrained import ARCHITECTURES

RNG = np.random.default_rng(0)


def tensors_of(architecture, heads=False, slices=False):
    """Random arrays with the names and shapes of torchvision's file, or of the whole of LPIPS."""
    found, fan = {}, 3
    for i, stage in enumerate(ARCHITECTURES[architecture]):
        for place in stage.places:
            name = f"net.slice{i + 1}.{place}" if slices else f"features.{place}"
            deviation = np.sqrt(2 / (fan * stage.kernel**2))
            found[f"{name}.weight"] = deviation * RNG.normal(size=(stage.channels, fan, *(stage.kernel,) * 2))
            found[f"{name}.bias"] = 0.1 * RNG.normal(size=stage.channels)
            fan = stage.channels
        if heads:
            found[f"lin{i}.model.1.weight"] = RNG.uniform(size=(1, stage.channels, 1, 1))
    return {name: array.astype(np.float32) for name, array in found.items()}


def write_safetensors(path, arrays, types=None):
    """The format as its documentation describes it."""
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16", np.dtype(ml_dtypes.bfloat16): "BF16",
             np.dtype(np.float64): "F64", np.dtype(np.int64): "I64"}  # fmt: skip
    header, content = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": kinds[array.dtype], "shape": list(array.shape),
                        "data_offsets": [len(content), len(content) + len(data)]}  # fmt: skip
        content += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
