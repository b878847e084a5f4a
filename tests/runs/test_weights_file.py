"""Weights in one file come back as they were: names, shapes and types, scalars and empty parts too."""

import ml_dtypes
import numpy as np

from jaxvae.runs.weights_file import read_weights, write_weights


def test_weights_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    model = {"a.b": {"scalar": np.float32(2.5)[()], "turned": rng.normal(size=(3, 4)).T}, "none": {}}
    extra = {"count": np.arange(3, dtype=np.int32), "half": np.ones(2, ml_dtypes.bfloat16), "zero": np.zeros(())}
    weights = {"params": {"model": model}, "extra": extra}
    write_weights(tmp_path / "w.safetensors", 7, weights, {"data": {"shape": [2]}, "rest": ["step"]})
    step, found, info = read_weights(tmp_path / "w.safetensors")
    assert step == 7
    assert info["data"] == {"shape": [2]}
    assert "rest" not in info
    assert found["params"]["model"]["none"] == {}
    for one, other in [
        *((found["params"]["model"]["a.b"][name], array) for name, array in model["a.b"].items()),
        *((found["extra"][name], array) for name, array in extra.items()),
    ]:
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
