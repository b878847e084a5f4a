"""Paths between the codes of two examples."""

from typing import NamedTuple

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Params
from jaxvae.latent.charts import along, chart, slerp
from jaxvae.latent.geodesics import Ends, contexts_along, decode_path, geodesic
from jaxvae.models.base import Model, centre, encode_batch
from jaxvae.models.facts import batch_of

PATHS = ("linear", "spherical", "geodesic")


class Curve(NamedTuple):
    """Points `z` `[B, num, *latent_shape]` and their decoded means `[B, num, *data_shape]`."""

    z: Array
    mean: Array


def interpolate(
    model: Model,
    params: Params,
    x_a: Array,
    x_b: Array,
    num: int,
    path: str = "linear",
    steps: int = 500,
    learning_rate: float = 0.01,
    masks: Ends = (None, None),
    contexts: Ends = (None, None),
) -> Curve:
    """Interpolate between the posterior's centres of x_a and x_b, both `[B, *data_shape]`, by `num` points.

    Args:
      model: with latents in R^n, on a sphere or on a Poincaré ball.
      params: its parameters.
      x_a: examples at the start of the paths.
      x_b: examples at the end.
      num: points including both ends, at least 2.
      path: "linear": the shortest line of the latent space itself: straight in R^n, else a great circle or a
        hyperbolic line. "spherical": `slerp`, in R^n or on the sphere. "geodesic": shortest for the decoder.
      steps: of the geodesic's optimiser.
      learning_rate: of the geodesic's optimiser, relative to the distance of the ends.
      masks: of x_a and x_b, bool of their shape, True where a value is observed; None where all are.
      contexts: of x_a and x_b, `[B, C]`, of a conditional model. Both are encoded at their own, and each point is
        decoded at its share of the way between them, so that a path ends at the reconstructions of both.

    Raises:
      UserError: discrete latents, an unknown path or one that leaves the space, num below 2, or x of another shape.
    """
    for x in (x_a, x_b):
        if x.shape != x_a.shape or x.shape[1:] != model.data_shape:
            raise UserError(
                f"An interpolation got inputs of shapes {list(x_a.shape)} and {list(x_b.shape)}; both must be "
                f"[batch, {', '.join(map(str, model.data_shape))}]."
            )
    ends = map(batch_of, (x_a, x_b), contexts, masks)
    z_a, z_b = (centre(encode_batch(model, params, end)) for end in ends)
    if path == "geodesic":
        z = geodesic(model, params, z_a, z_b, num, steps, learning_rate, contexts)
    elif path in PATHS:
        space = chart(model, "An interpolation")
        if path == "spherical" and not model.latent.space.has_great_circles:
            raise UserError(
                f"A spherical path turns z about the origin, which is not a line of {model.latent.space}: take path "
                "'linear', which is the hyperbolic line there, or 'geodesic'."
            )
        z = along(slerp if path == "spherical" else space.line, z_a, z_b, num)
    else:
        raise unknown("path", path, PATHS)
    return Curve(z, decode_path(model, params, z, contexts_along(contexts, num)))
