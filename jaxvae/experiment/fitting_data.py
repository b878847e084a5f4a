"""Check that a likelihood, a network and a prior fit the data, and name those that do."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment.parts import PARTS, part
from jaxvae.likelihoods import Likelihood
from jaxvae.networks import Network
from jaxvae.priors import Prior


def check_support(name: str, likelihood: Likelihood, pixel_range: tuple[float, ...], data: DataSpec) -> None:
    """Raise UserError for a likelihood without a density at some values of the data."""
    if data.table and not likelihood.of_columns:
        raise UserError(
            f"The likelihood '{name}' is not made for columns of several kinds: take 'columns', or, for a table of "
            "real numbers alone, data.kind='images' with data.scaling='standardize'."
        )
    low, high = likelihood.support or (-math.inf, math.inf)
    others = "or take a likelihood for such data: 'gaussian' or 'squared_error', for example."
    if data.is_real and likelihood.is_of_levels:
        raise UserError(
            f"The likelihood '{name}' needs values on equally spaced levels, as pixels have them, but the data is real "
            f"values{' after data.scaling' if data.scale else ''}. Take a likelihood for such data: 'gaussian' or "
            "'laplace', for example."
        )
    if likelihood.is_of_counts:
        if pixel_range != data.stored_range or data.is_float:
            kind = "floats" if data.is_float else f"scaled to {list(pixel_range)}"
            raise UserError(
                f"The likelihood '{name}' needs counts, whole numbers from 0 on, but the data is {kind}. Set "
                f"data.pixel_range to () for whole numbers as stored, {others}"
            )
    elif data.is_real and (pixel_range[0] < low or pixel_range[1] > high):
        how = "data.scaling gives" if data.scale else "the data holds"
        raise UserError(
            f"The likelihood '{name}' needs data in {[low, high]}, but {how} real values from {pixel_range[0]:.4g} to "
            f"{pixel_range[1]:.4g}. Set data.scaling to 'unit', which maps the training data to data.pixel_range, "
            f"(0.0, 1.0), {others}"
        )
    elif pixel_range[0] < low or pixel_range[1] > high:
        raise UserError(
            f"The likelihood '{name}' needs data in {[low, high]}, but data.pixel_range is {list(pixel_range)}. Set "
            f"data.pixel_range to (0.0, 1.0), {others}"
        )


def check_missing(name: str, likelihood: Likelihood, given: Mapping[str, Any]) -> None:
    """Raise UserError for missing values with a likelihood that is not a product over values."""
    if likelihood.is_product:
        return
    fitting = [other for other in PARTS["likelihood"] if _by_default(other, given, lambda made: made.is_product)]
    how = " with these options" if name in fitting else ""
    raise UserError(
        f"Values of the data are missing, but the likelihood '{name}'{how} compares whole examples, so that the "
        f"observed values have no likelihood without the others. Likelihoods that are products over values: "
        f"{', '.join(fitting)}."
    )


def check_sequence(config: Mapping[str, Any], network: Network, prior: Prior, data: DataSpec) -> None:
    """Raise UserError where only one of data and network is sequential, or the prior cannot learn from tokens."""
    name = config["network"]["name"]
    if bool(data.sequence) != network.is_sequential:
        is_, other = ("sequences", "lstm") if data.sequence else ("not sequences", "mlp")
        raise UserError(f"The network '{name}' does not fit this data, which is {is_}: take the network '{other}'.")
    if data.sequence == "text" and prior.learns_inputs:
        raise UserError(
            f"The prior '{config['model']['prior']['name']}' learns pseudo-inputs by gradients, but tokens are whole "
            "numbers, without gradients: take 'standard_normal', 'mixture_of_gaussians' or 'flow'."
        )


def check_step(name: str, given: Mapping[str, Any], data: DataSpec) -> None:
    """Raise UserError where a built-in likelihood cannot be the distribution of the next step of a sequence."""
    is_of_steps = lambda made: data.sequence in made.steps_of  # noqa: E731
    fitting = [other for other in PARTS["likelihood"] if _by_default(other, given, is_of_steps)]
    if name in PARTS["likelihood"] and name not in fitting:
        allowed = " or ".join(map(repr, fitting))
        raise UserError(f"The likelihood '{name}' does not fit a step of {data.sequence}: take {allowed}.")


def _by_default(name: str, given: Mapping[str, Any], holds: Callable[[Likelihood], bool]) -> bool:
    """Return whether a fact holds for a built-in likelihood with its default options."""
    try:
        return holds(part("likelihood", {"name": name}, given)())
    except UserError:  # it does not fit the data at all
        return False
