"""Curves in a latent space: straight lines, great circles, and geodesics of the decoder."""

from jaxvae.latent.charts import Chart, along, chart, slerp
from jaxvae.latent.descent import descend
from jaxvae.latent.geodesics import SUBDIVISIONS, curve_energy, curve_length, decode_path, geodesic
from jaxvae.latent.paths import PATHS, Curve, interpolate

__all__ = [
    "PATHS", "SUBDIVISIONS", "Chart", "Curve", "along", "chart", "curve_energy", "curve_length", "decode_path",
    "descend", "geodesic", "interpolate", "slerp",
]  # fmt: skip
