"""The spaces in which latents live."""

from jaxvae.common.errors import UserError

EUCLIDEAN, CODES, SPHERE = "R^n", "codes", "the unit sphere"


def ball(curvature: float) -> str:
    """The name of a Poincaré ball as a space."""
    return f"the Poincaré ball of curvature -{curvature:g}"


def check_sphere(latent_dim: int) -> None:
    """Raises UserError for a sphere of no dimension."""
    if latent_dim < 2:
        raise UserError(f"model.latent_dim is {latent_dim}; a sphere needs at least 2 (in R^2 it is the circle).")


def check_curvature(curvature: float) -> None:
    """Raises UserError for a curvature that is not above 0."""
    if not curvature > 0:
        raise UserError(f"The curvature of the Poincaré ball is {curvature}; it must be above 0 (it is its size).")
