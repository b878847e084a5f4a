"""Check before any computation that JAX finds the devices of JAX_PLATFORMS."""

import os

from jaxvae.common.errors import UserError


def check_devices() -> None:
    """Start JAX's backend; call it after the hosts have connected.

    Raises:
      UserError: JAX_PLATFORMS names a platform that this machine or this installation lacks.
    """
    import jax

    try:
        jax.devices()
    except (AssertionError, RuntimeError) as error:  # a missing CUDA plugin fails an assertion of JAX
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = str(error).partition(" (set JAX_PLATFORMS")[0].rstrip(".") or "JAX is installed without its plugin"
        raise UserError(
            f"JAX_PLATFORMS is '{asked}', which JAX cannot use here: {reason}. Available: {_found()}. Unset "
            "JAX_PLATFORMS to use it. An NVIDIA GPU needs pip install 'jaxvae[cuda]' and a driver, see nvidia-smi."
        ) from error


def _found() -> str:
    """Return the number and platform of the devices that JAX chooses by default."""
    import jax

    asked = os.environ.get("JAX_PLATFORMS")  # as JAX read it
    jax.config.update("jax_platforms", "")
    try:
        devices = jax.devices()
    finally:
        jax.config.update("jax_platforms", asked)
    return f"{len(devices)} {devices[0].platform}"
