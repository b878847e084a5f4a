"""Colours and markers of classes and curves that colour-blind readers can tell apart."""

from typing import NamedTuple

from jaxvae.common.optional import require

# Okabe & Ito's palette (2008), the darker colours first; black last.
OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#000000")
MARKERS = ("o", "^", "s")
DASHES = ("-", "--", ":", "-.")
MOST_CLASSES = len(OKABE_ITO) * len(MARKERS)  # that differ by colour and marker
MOST_CURVES = len(OKABE_ITO) * len(DASHES)


class Look(NamedTuple):
    """Colour (hex) and marker of a class."""

    color: str
    marker: str


def of_classes(count: int) -> list[Look]:
    """Return the look of each of `count` classes, no two the same.

    Up to 8 classes differ by colour, up to MOST_CLASSES by colour and marker. More classes get evenly spaced colours of
    the ordered scale "viridis", which shows their order and not each class: see `is_ordered`.
    """
    if not is_ordered(count):
        return [Look(OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i // len(OKABE_ITO)]) for i in range(count)]
    scale, to_hex = require("matplotlib").colormaps["viridis"], require("matplotlib.colors").to_hex
    return [Look(to_hex(scale(i / (count - 1))), MARKERS[0]) for i in range(count)]


def is_ordered(count: int) -> bool:
    """Return whether there are too many classes for a colour and marker each."""
    return count > MOST_CLASSES


def of_curves(count: int) -> list[tuple[str, str]]:
    """Return colour and dashes of each of `count` curves; no two of the first MOST_CURVES are the same."""
    return [(OKABE_ITO[i % len(OKABE_ITO)], DASHES[i // len(OKABE_ITO) % len(DASHES)]) for i in range(count)]
