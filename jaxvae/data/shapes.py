"""Images drawn by code from known generative factors, in the spirit of dSprites.

Matthey, Higgins, Hassabis & Lerchner (2017), "dSprites: disentanglement testing sprites dataset".
"""

import math
from typing import NamedTuple

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.split import Split

SIZE = 32  # pixels of a side
RADIUS = 8.7  # pixels from the centre of the largest sprite to its farthest point; no edge lies on the sample points
SMALLEST = 0.6  # the smallest sprite, in units of the largest
SAMPLES = 8  # points per pixel and axis; their mean is the grey value
COLORS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))  # hues at 0, 60 ... 300 degrees
NAMES = ("square", "ellipse", "heart")


class Grid(NamedTuple):
    """A full grid: number of values of each factor, in order, and distance of positions in pixels."""

    sizes: dict[str, int]
    step: int


SHAPES = Grid({"shape": 3, "scale": 4, "rotation": 10, "x": 12, "y": 12}, step=1)
COLOR_SHAPES = Grid({"shape": 3, "scale": 3, "rotation": 6, "x": 8, "y": 8, "color": 6}, step=2)


def make_shapes(grid: Grid = SHAPES) -> tuple[Split, tuple[str, ...]]:
    """Render every image of the grid, the last factor changing fastest, with factor names; labels are the shapes.

    `SHAPES` has 17,280 images `[32, 32, 1]`, `COLOR_SHAPES` 20,736 images `[32, 32, 3]`. `render` explains the factors,
    and which images are the same.
    """
    sizes = tuple(grid.sizes.values())
    factors = np.ascontiguousarray(np.indices(sizes, np.int32).reshape(len(sizes), -1).T)
    return Split(render(factors, grid), factors[:, 0].copy(), factors), tuple(grid.sizes)


def render(factors: np.ndarray, grid: Grid = SHAPES) -> np.ndarray:
    """Render rows of factors as images. A grey value is the share of the pixel that the shape covers, in 255ths.

    - shape: square, ellipse (axes 2:1), heart. Positions are those of the centroid.
    - scale: the distance from the centroid to the farthest point, in equal steps from 5.22 to 8.7 pixels.
    - rotation: anticlockwise, in equal steps over the full circle without its end. A square is the same after a quarter
      turn and an ellipse after half a turn, so that 10 rotations of them are only 5 different images, and 6 rotations
      only 3; no model can distinguish the others. The rotations of a heart are all different.
    - x to the right and y downwards, in equal steps about the middle: 1 pixel for `SHAPES`, 2 for
      `COLOR_SHAPES`. No shape is cut off by the edge.
    - color: red, yellow, green, cyan, blue, magenta, on black.

    Args:
      factors: `[N, F]` whole numbers, each from 0 to one less than its `grid.sizes`.
      grid: of the factors, with as many values of y as of x.

    Returns:
      `[N, 32, 32, 1]`, or `[N, 32, 32, 3]` with a color; uint8, 0 to 255.

    Raises:
      UserError: a factor is not in the grid.
    """
    factors, sizes = np.asarray(factors), tuple(grid.sizes.values())
    if factors.ndim != 2 or factors.shape[1] != len(sizes) or np.any((factors < 0) | (factors >= sizes)):
        known = ", ".join(f"{name} 0 to {size - 1}" for name, size in grid.sizes.items())
        raise UserError(f"The factors {factors.shape} are not rows of the grid; a row is {known}.")
    columns = dict(zip(grid.sizes, factors.T, strict=True))
    shape, scale, rotation, x, y = (columns[name] for name in ("shape", "scale", "rotation", "x", "y"))
    images = _windows(grid)[shape, scale, rotation, -1 - y, -1 - x][..., None]
    if "color" not in columns:
        return images
    return images * np.array(COLORS, np.uint8)[columns["color"], None, None]


def _windows(grid: Grid) -> np.ndarray:
    """View `[shape, scale, rotation, -1 - y, -1 - x, 32, 32]`: shifted windows of each sprite are its positions."""
    reach = grid.step * (grid.sizes["x"] - 1)  # pixels from the first position to the last
    sprites = np.pad(_sprites(grid, SIZE - reach), [(0, 0)] * 3 + [(reach, reach)] * 2)
    windows = np.lib.stride_tricks.sliding_window_view(sprites, (SIZE, SIZE), axis=(-2, -1))
    return windows[..., :: grid.step, :: grid.step, :, :]


def _sprites(grid: Grid, side: int) -> np.ndarray:
    """Draw every shape in the middle of a small image: `[shape, scale, rotation, side, side]`, uint8."""
    axis = (np.arange(side * SAMPLES) + 0.5) / SAMPLES - side / 2  # pixels from the centre
    scales, rotations = grid.sizes["scale"], grid.sizes["rotation"]
    radius = RADIUS * np.linspace(SMALLEST, 1, scales)[:, None, None, None]
    angle = 2 * math.pi / rotations * np.arange(rotations)[:, None, None]
    right, up = axis / radius, -axis[:, None] / radius
    u, v = np.cos(angle) * right + np.sin(angle) * up, np.cos(angle) * up - np.sin(angle) * right
    inside = np.stack([_square(u, v), _ellipse(u, v), _heart(u, v)])
    covered = inside.reshape(3, scales, rotations, side, SAMPLES, side, SAMPLES).mean((-3, -1))
    return np.rint(255 * covered).astype(np.uint8)


# Whether points lie in a shape with centroid 0, whose farthest point is at distance 1.


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(abs(u), abs(v)) <= math.sqrt(0.5)


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u**2 + (2 * v) ** 2 <= 1


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Square of side 2 on its tip, with half a disc of radius 1 on each of its upper sides."""
    centroid = (math.pi / 2 + 2 / 3) / (4 + math.pi)  # of p, and of q, relative to the middle of the square
    size = math.sqrt(2) * (1 + centroid)  # from there to the tip
    p, q = size * (v + u) / math.sqrt(2) + centroid, size * (v - u) / math.sqrt(2) + centroid
    return (np.maximum(abs(p), abs(q)) <= 1) | ((p - 1) ** 2 + q**2 <= 1) | (p**2 + (q - 1) ** 2 <= 1)
