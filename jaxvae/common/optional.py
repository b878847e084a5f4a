"""Import optional packages at first use, with a clear error where one is missing."""

import importlib
from typing import Any

from jaxvae.common.errors import UserError

# Installed by these extras of pyproject.toml.
EXTRAS = {
    "grain": "stream", "skimage": "metrics", "h5py": "formats", "anndata": "formats", "jax2onnx": "onnx",
    "onnxruntime": "onnx", "huggingface_hub": "hub", "wandb": "wandb", "mlflow": "mlflow",
}  # fmt: skip
PACKAGES = {"PIL": "Pillow", "skimage": "scikit-image", "sklearn": "scikit-learn"}  # where the module's name differs


def require(module: str) -> Any:
    """Import a module of an optional or heavy package.

    Args:
      module: dotted name, such as "sklearn.cluster".

    Returns:
      The module.

    Raises:
      UserError: it does not import; the message names the package and the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        package = PACKAGES.get(name, name.replace("_", "-"))
        wanted = f"jaxvae[{EXTRAS[name]}]" if name in EXTRAS else package
        raise UserError(
            f"This needs the package '{package}', which cannot be imported ({error}). Install it with: "
            f"pip install '{wanted}'."
        ) from error
