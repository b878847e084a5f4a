"""Rewrite a traced function for a converter that cannot pad arrays of a symbolic batch."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal, jaxpr_as_fun

from jaxvae.common.types import Array

CALLS = ("jit", "pjit", "custom_jvp_call", "custom_vjp_call")  # primitives that only call another function


def flat(function: Callable[..., Any], *inputs: jax.ShapeDtypeStruct) -> Callable[..., list[Array]]:
    """Trace a function, without the calls in it, and return it as a function to the list of its outputs.

    Paddings become concatenations; a function inside a loop is left as it is.
    """
    closed = jax.make_jaxpr(function)(*inputs)
    return jaxpr_as_fun(jax.make_jaxpr(lambda *args: _evaluated(closed.jaxpr, closed.consts, args))(*inputs))


def _evaluated(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """Evaluate a jaxpr equation by equation."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def value(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        inputs, primitive, params = [*map(value, equation.invars)], equation.primitive, equation.params
        if primitive.name in CALLS:
            inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
            outputs = _evaluated(inner.jaxpr, inner.consts, inputs)
        elif primitive is lax.pad_p:
            outputs = [_padded(inputs[0], inputs[1], params["padding_config"])]
        else:
            outputs = primitive.bind(*inputs, **params)
            outputs = outputs if primitive.multiple_results else [outputs]
        known.update(zip(equation.outvars, outputs, strict=True))
    return [*map(value, jaxpr.outvars)]


def _padded(x: Array, value: Array, widths: Sequence[tuple[int, int, int]]) -> Array:
    """Pad x as `lax.pad` does; negative widths crop."""
    for axis, (before, after, between) in enumerate(tuple(map(int, each)) for each in widths):
        if between:
            x = _spaced(x, value, axis, between)
        x = lax.slice_in_dim(x, max(-before, 0), x.shape[axis] - max(-after, 0), axis=axis)
        edges = [
            [jnp.full([*x.shape[:axis], width, *x.shape[axis + 1 :]], value, x.dtype)] if width > 0 else []
            for width in (before, after)
        ]
        x = jnp.concatenate([*edges[0], x, *edges[1]], axis)
    return x


def _spaced(x: Array, value: Array, axis: int, between: int) -> Array:
    """Put `between` values after each entry of an axis but the last."""
    n = x.shape[axis]
    apart = jnp.expand_dims(x, axis + 1)
    rest = jnp.full([*apart.shape[: axis + 1], between, *apart.shape[axis + 2 :]], value, x.dtype)
    joined = jnp.concatenate([apart, rest], axis + 1).reshape(
        [*x.shape[:axis], n * (1 + between), *x.shape[axis + 1 :]]
    )
    return lax.slice_in_dim(joined, 0, joined.shape[axis] - between, axis=axis)
