"""The devices that JAX was told to use, looked for before anything is computed."""

import os

from jaxvae.common.errors import UserError


def check_devices() -> None:
    """Starts JAX's backend; call it once the hosts have met.

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
            f"JAX_PLATFORMS is '{asked}', which JAX cannot use here: {reason}. There is: {_found()}. Unset "
            "JAX_PLATFORMS to use that. An NVIDIA GPU needs pip install 'jaxvae[cuda]' and a driver, see nvidia-smi."
        ) from error


def _found() -> str:
    """The devices of the platform that JAX chooses by itself."""
    import jax

    asked = os.environ.get("JAX_PLATFORMS")  # as JAX read it
    jax.config.update("jax_platforms", "")
    try:
        devices = jax.devices()
    finally:
        jax.config.update("jax_platforms", asked)
    return f"{len(devices)} {devices[0].platform}"
