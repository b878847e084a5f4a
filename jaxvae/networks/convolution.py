"""Strided convolution and its transpose, in forms that are fast on CPU and GPU.

XLA on CPU runs a convolution, and its gradient by the kernel, near the speed of a matrix product. A transposed
convolution is up to twice as slow, and its gradient by the kernel fifty times. On GPU, in float32, XLA takes up to 17
times longer than these forms for a transposed convolution with its gradients (docs/scaling.md). So on both each
function here is written in a form that runs fast. Its tangent is written as the transpose of the fast form of its
gradient, which reverse mode transposes back. The derivatives are the usual ones, so that forward mode, `vmap` and
derivatives of any order work as usual, which `jax.custom_vjp` would not allow. On TPU, where nothing was measured,
these are the stock operations.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.networks.convolution_forms import by_kernel, down, stock, stock_up, transpose, up
from jaxvae.networks.convolution_window import Pair, Window, window


def convolve(x: Array, kernel: Array, stride: int | Pair = 1, padding: str | Sequence[Pair] = "SAME") -> Array:
    """Convolve images x `[N, H, W, C]` with a kernel `[h, w, C, O]`: `[N, H', W', O]`.

    Args:
      x: images.
      kernel: of x's dtype.
      stride: pixels per step, one number or one per direction.
      padding: "SAME", where H' is H / stride rounded up, "VALID", or the rows and the columns of zeros
        `((before, after), (before, after))`.

    Raises:
      UserError: as `window`.
    """
    sizes = window(x.shape[1:3], kernel.shape[:2], stride, padding)
    return _convolve(x, kernel, sizes, False) if _own_forms() else stock(x, kernel, sizes)


def convolve_transposed(
    x: Array,
    kernel: Array,
    stride: int | Pair = 1,
    padding: str | Sequence[Pair] = "SAME",
    size: Pair | None = None,
) -> Array:
    """Transpose of `convolve`: its gradient by the images for the cotangent x.

    Args:
      x: `[N, H', W', O]`.
      kernel: `[h, w, C, O]`, as for `convolve`.
      stride: of the convolution.
      padding: of the convolution; it crops here.
      size: H and W of the output `[N, H, W, C]`. By default the smallest that the convolution maps to H' and W',
        (H' - 1) stride + h - padding, and with "SAME" the largest, H' stride.

    Raises:
      UserError: as `window`, or a size that the convolution does not map to H' and W'.
    """
    if size is None:
        strides = (stride, stride) if isinstance(stride, int) else stride
        taken = [0, 0] if isinstance(padding, str) else [sum(pair) for pair in padding]
        rows, columns = (
            n * step if padding == "SAME" else (n - 1) * step + k - away
            for n, step, k, away in zip(x.shape[1:3], strides, kernel.shape[:2], taken, strict=True)
        )
        size = rows, columns
    sizes = window(size, kernel.shape[:2], stride, padding)
    if sizes.out != x.shape[1:3]:
        raise UserError(f"A convolution maps {size} to {sizes.out}, not {x.shape[1:3]}: its transpose cannot undo it.")
    return _transposed(x, kernel, sizes, False) if _own_forms() else stock_up(x, kernel, sizes)


def _own_forms() -> bool:
    """Whether JAX's default platform, read at trace time, is one where these forms were measured to be fast."""
    return jax.default_backend() in ("cpu", "gpu")


# Differentiation rules. Tangents are `dual`: the transpose of the other function's form, which reverse mode then runs.


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _convolve(x: Array, w: Array, sizes: Window, dual: bool) -> Array:
    if not dual:
        return down(x, w, sizes)
    return transpose(lambda y: up(y, w, sizes), (x.shape[0], *sizes.out, w.shape[3]), x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _transposed(y: Array, w: Array, sizes: Window, dual: bool) -> Array:
    if not dual:
        return up(y, w, sizes)
    return transpose(lambda x: down(x, w, sizes), (y.shape[0], *sizes.size, w.shape[2]), y)


@functools.partial(_convolve.defjvp, symbolic_zeros=True)
def _convolve_rule(sizes: Window, dual: bool, primals: tuple, tangents: tuple) -> tuple[Array, Any]:
    (x, w), (dx, dw) = primals, tangents
    x = _computed_once(x)
    y = _convolve(x, w, sizes, dual)
    return y, _added(
        y,
        None if _is_zero(dx) else _convolve(dx, w, sizes, True),
        None if _is_zero(dw) else transpose(lambda c: by_kernel(x, c, sizes), y.shape, dw),
    )


@functools.partial(_transposed.defjvp, symbolic_zeros=True)
def _transposed_rule(sizes: Window, dual: bool, primals: tuple, tangents: tuple) -> tuple[Array, Any]:
    (y, w), (dy, dw) = primals, tangents
    x = _transposed(y, w, sizes, dual)
    return x, _added(
        x,
        None if _is_zero(dy) else _transposed(dy, w, sizes, True),
        None if _is_zero(dw) else transpose(lambda c: by_kernel(c, y, sizes), x.shape, dw),
    )


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero)


def _added(like: Array, *terms: Array | None) -> Array:
    """Sum the terms that are not None."""
    given = [term for term in terms if term is not None]
    return sum(given[1:], given[0]) if given else jnp.zeros_like(like)


def _computed_once(x: Array) -> Array:
    """Return `x` in a form that XLA does not recompute where it is used again.

    Otherwise XLA fuses a cheap x (a bias and relu) into the transposed copy that the gradient by the kernel needs, and
    reads it in an order that misses the cache: 19 ms instead of 1.4 for 17 MB. XLA never recomputes a division, and
    cannot infer that this one is by 1.
    """
    return x / jnp.where(jnp.isnan(x), x, jnp.ones((), x.dtype))
