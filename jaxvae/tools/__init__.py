"""What one can do in a latent space, as modes of a trained run: `--mode=tool --config.tool=NAME`."""

from jaxvae.tools.base import Outcome, sheet
from jaxvae.tools.repair import denoise, impute, search
from jaxvae.tools.walks import analogy, attribute, interpolate, traverse

TOOLS = {
    tool.__name__: tool for tool in (analogy, attribute, denoise, impute, interpolate, search, traverse)
}  # fmt: skip

__all__ = ["TOOLS", "Outcome", "sheet"]
