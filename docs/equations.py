"""Equations in LaTeX: of parts, in equations.toml, and of losses, in the table of losses.md."""

import re
import tomllib
from functools import cache
from pathlib import Path

DOCS = Path(__file__).parent
ROOMS = {"objective": "objectives", "posterior": "posteriors", "prior": "priors", "likelihood": "likelihoods"}
NOTATION = r"""In the equations $x$ is an example with the values $x_d$, $z$ its latent and $\hat{x}$ the mean of
$p(x \mid z)$. $\ell$ and $m$ are outputs of the decoder; $h$, $y$, $\mu$, $\sigma$ and $\kappa$ those of the encoder.
$\beta \text{KL}$ stands for the KL with its weight, and $w$ for this weight alone. Further Greek letters are options.
$D$ is a discriminator, $L_G$ the loss of what it judges, and $\text{sg}$ stops gradients.
"""


@cache
def of_parts() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return `{kind: {name: equations}}`."""
    found = tomllib.loads((DOCS / "equations.toml").read_text(encoding="utf-8"))
    return {
        kind: {name: (lines,) if isinstance(lines, str) else tuple(lines) for name, lines in parts.items()}
        for kind, parts in found.items()
    }


def of_losses() -> dict[str, str]:
    """Return the equation of each public loss."""
    text = (DOCS / "losses.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| \$(.+?)\$ \|", text, flags=re.M))


def by_path() -> dict[str, tuple[str, ...]]:
    """Return the equations of functions by their path, `jaxvae.losses.elbo` for example."""
    parts = {f"jaxvae.{room}.{name}": lines for kind, room in ROOMS.items() for name, lines in of_parts()[kind].items()}
    return parts | {f"jaxvae.losses.{name}": (line,) for name, line in of_losses().items()}
