"""Reconstruction losses that compare whole images."""

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import INTERVAL, POSITIVE, check
from jaxvae.common.types import no_params
from jaxvae.distributions.ssim import MsSsim
from jaxvae.likelihoods.base import Likelihood, find_activation
from jaxvae.losses.ssim import MIN_WINDOW


def ms_ssim(
    data_shape: tuple[int, ...],
    pixel_range: tuple[float, float],
    activation: str = "identity",
    weight: float = 100.0,
) -> Likelihood:
    """Perceptual loss `weight` (1 - MS-SSIM); not a density (arXiv:1511.06409).

    The similarity is at most 1, so `weight` balances the loss with a KL of tens of nats.

    Args:
      data_shape: the shape of one example, `[H, W, C]`.
      pixel_range: the least and the greatest value of the data.
      activation: from outputs to means: identity, sigmoid or tanh.
      weight: above 0; of the loss against a KL in nats.

    Raises:
      UserError: an unknown activation, a weight that is not above 0, no pixel range, or data other than images of at
        least 3 x 3 pixels.
    """
    mean = find_activation(activation)
    check("likelihood", "ms_ssim", weight=(weight, POSITIVE), pixel_range=(pixel_range, INTERVAL))
    if len(data_shape) != 3 or min(data_shape[:2]) < MIN_WINDOW:
        raise UserError(
            "The likelihood 'ms_ssim' compares windows of images: it needs data of shape [height, width, channels] "
            f"with at least {MIN_WINDOW} x {MIN_WINDOW} pixels, but an example has shape {list(data_shape)}."
        )
    return Likelihood(
        no_params, lambda _, outputs: MsSsim(mean(outputs), data_shape, *pixel_range, weight),
        is_density=False, is_product=False,
    )  # fmt: skip
