"""Convolutions in their fast forms against the stock ones: values, gradients, tangents, and torch's semantics."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxvae import networks
from jaxvae.common.errors import UserError
from jaxvae.networks.convolution_window import window

SIZES, KERNELS, STRIDES = ((8, 8), (7, 5)), ((4, 4), (3, 3), (5, 2), (1, 1)), (1, 2, (3, 2))
PADDINGS, CHANNELS = ("SAME", "VALID", ((2, 1), (0, 3))), ((1, 3), (9, 2))
GRID = list(itertools.product(SIZES, KERNELS, STRIDES, PADDINGS, CHANNELS))
# (size, kernel, stride, padding, channels): every form, strides that do not divide kernel or size, an output that is
# larger than its input, a window on the border's zeros alone.
CASES = [
    ((8, 8), (4, 4), 2, "SAME", (1, 3)),
    ((8, 8), (4, 4), 2, "SAME", (9, 2)),
    ((7, 5), (4, 4), 2, "SAME", (9, 2)),
    ((2, 3), (4, 4), 2, "SAME", (9, 2)),
    ((7, 5), (3, 3), (3, 2), "VALID", (1, 3)),
    ((7, 5), (5, 2), (1, 2), ((1, 1), (0, 3)), (9, 2)),
    ((4, 5), (3, 3), 1, ((2, 2), (2, 2)), (9, 2)),
    ((6, 6), (3, 3), 1, "SAME", (9, 2)),
    ((7, 6), (1, 1), 2, "SAME", (2, 3)),
]


def stock(stride, padding):
    strides = (stride, stride) if isinstance(stride, int) else stride
    return lambda x, w: lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def whole(rng, shape, dtype=jnp.float32):
    """Small whole numbers: their products and sums are exact, so that equal means equal."""
    return jnp.asarray(rng.integers(-2, 3, shape), dtype)


def pairs(size, kernel, stride, padding, channels, dtype=jnp.float32):
    """(own function, stock function, arguments) of the convolution and of its transpose."""
    rng, plain = np.random.default_rng(0), stock(stride, padding)
    x, w = whole(rng, (2, *size, channels[0]), dtype), whole(rng, (*kernel, *channels), dtype)
    y = whole(rng, jax.eval_shape(plain, x, w).shape, dtype)

    def transposed(y, w):
        like = jax.ShapeDtypeStruct((len(y), *size, channels[0]), dtype)
        return jax.linear_transpose(lambda x: plain(x, w), like)(y)[0]

    yield lambda x, w: networks.convolve(x, w, stride, padding), plain, (x, w)
    yield lambda y, w: networks.convolve_transposed(y, w, stride, padding, size), transposed, (y, w)


def check(case, dtype: Any = jnp.float32):
    for own, plain, args in pairs(*case, dtype=dtype):
        cotangent = whole(np.random.default_rng(1), jax.eval_shape(plain, *args).shape, dtype)

        def both(function, args, cotangent):
            value, pullback = jax.vjp(function, *args)
            return value, *pullback(cotangent)

        for got, wanted in zip(
            *(jax.jit(both, static_argnums=0)(f, args, cotangent) for f in (own, plain)), strict=True
        ):
            assert got.dtype == dtype
            np.testing.assert_array_equal(np.asarray(got, np.float64), np.asarray(wanted, np.float64))


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_stock_operations(case):
    check(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", GRID)
def test_so_they_are_on_the_whole_grid(case):
    check(case)


@pytest.mark.parametrize("case", CASES[1:3])
def test_in_bfloat16(case):
    check((*case[:4], (2, 3)), jnp.bfloat16)  # few channels: sums of up to 4 * 16 * 3 are exact


def test_in_float64():
    with jax.enable_x64(True):
        for case in CASES[:2]:
            check(case, jnp.float64)


@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[4]])
def test_tangents_second_derivatives_and_batches(case):
    for own, plain, args in pairs(*case):

        def curved(function, args=args):
            return lambda first: jnp.sum(jnp.square(function(first, args[1])))

        def tangent_gradient(function, args=args):
            """The gradient by all arguments of a tangent's square: forward mode within reverse mode."""

            def squared(first, w):
                along = jax.jvp(lambda z: jnp.square(function(z, w)), (first,), (jnp.ones_like(first),))[1]
                return jnp.sum(along)

            return jax.grad(squared, (0, 1))(*args)

        def twice(function, args=args):
            return jax.grad(lambda a: jnp.vdot(jax.grad(curved(function))(a), args[0]))(args[0])

        def each(function, args=args):
            """Gradients by the kernel, one for each image."""
            return jax.vmap(lambda a: jax.grad(lambda w: jnp.sum(jnp.square(function(a[None], w))))(args[1]))(args[0])

        def of_kernel(function, args=args):
            return jax.jvp(lambda w: function(args[0], w), (args[1],), (jnp.flip(args[1]),))

        for use in (tangent_gradient, twice, each, of_kernel):
            got, wanted = (jax.tree.leaves(jax.jit(use, static_argnums=0)(f)) for f in (own, plain))
            assert len(got) == len(wanted)
            for one, other in zip(got, wanted, strict=True):
                np.testing.assert_array_equal(one, other)
            assert any(np.any(np.asarray(leaf) != 0) for leaf in got)


def test_infinite_and_missing_values_stay_where_they_are():
    x = jnp.ones((1, 8, 8, 9)).at[0, 0, 0, 0].set(jnp.inf).at[0, 7, 7, 0].set(jnp.nan)
    w = jnp.ones((4, 4, 9, 2))
    got = jax.vjp(lambda x, w: networks.convolve(x, w, 2), x, w)[0]
    np.testing.assert_array_equal(got, stock(2, "SAME")(x, w))


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (3, 2, 0), (5, 3, 1), (2, 2, 1)])
def test_the_transpose_is_that_of_torch(kernel, stride, padding):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, w = whole(rng, (2, 3, 4, 5)), whole(rng, (kernel, kernel, 6, 5))
    layer = torch.nn.functional.conv_transpose2d
    channels_first, turned = torch.tensor(np.asarray(x)).permute(0, 3, 1, 2), torch.tensor(np.asarray(w))
    wanted = layer(channels_first, turned.permute(3, 2, 0, 1), stride=stride, padding=padding).permute(0, 2, 3, 1)
    got = networks.convolve_transposed(x, w, stride, ((padding, padding), (padding, padding)))
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(("stride", "padding"), [(2, "SAME"), (3, "VALID"), (1, "SAME")])
def test_the_transpose_is_that_of_lax(stride, padding):
    rng = np.random.default_rng(0)
    x, w = whole(rng, (2, 3, 4, 5)), whole(rng, (4, 4, 6, 5))
    wanted = lax.conv_transpose(
        x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), transpose_kernel=True
    )
    np.testing.assert_array_equal(networks.convolve_transposed(x, w, stride, padding), wanted)


@pytest.mark.parametrize(("platform", "own"), [("cpu", True), ("gpu", True), ("tpu", False)])
def test_the_platform_chooses_the_form(monkeypatch, platform, own):
    x, w = jnp.ones((1, 8, 8, 1)), jnp.ones((4, 4, 1, 2))
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    down = jax.make_jaxpr(lambda: networks.convolve(x, w, 2))()
    up = jax.make_jaxpr(lambda: networks.convolve_transposed(x, jnp.ones((4, 4, 2, 1)), 2))()
    assert ("custom_jvp" in str(down), "custom_jvp" in str(up)) == (own, own)
    assert (down.out_avals[0].shape, up.out_avals[0].shape) == ((1, 4, 4, 2), (1, 16, 16, 2))


def test_xla_computes_no_activation_twice():
    """What makes the gradient by the kernel slow: relu fused into a transposed copy of the images."""
    x, w = jnp.ones((4, 16, 16, 32)), jnp.ones((4, 4, 32, 8))

    def loss(b, w):
        return jnp.sum(jnp.square(networks.convolve(jax.nn.relu(x * b), w, 2)))

    code = jax.jit(jax.grad(loss, (0, 1))).lower(jnp.ones(32), w).compile().as_text() or ""
    bodies = [body.split("\n}")[0] for body in code.split("\n%fused_computation")[1:]]
    copies = [body for body in bodies if "f32[32,16,16,4]" in body and "transpose(" in body]
    assert copies
    assert not any("maximum(" in body for body in copies)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "said"),
    [
        ((8, 8), (9, 9), 1, "VALID", "does not fit"),
        ((8, 8), (3, 3), 0, "SAME", "at least 1"),
        ((8, 8), (0, 3), 1, "SAME", "at least 1"),
        ((8, 8), (3, 3), 1, "same", "it must be 'SAME'"),
        ((8, 8), (3, 3), 1, ((-1, 0), (0, 0)), "does not fit"),
    ],
)
def test_what_does_not_fit_is_said(size, kernel, stride, padding, said):
    with pytest.raises(UserError, match=said):
        window(size, kernel, stride, padding)


def test_a_size_that_the_transpose_cannot_have_is_refused():
    with pytest.raises(UserError, match="cannot undo"):
        networks.convolve_transposed(jnp.ones((1, 4, 4, 2)), jnp.ones((4, 4, 1, 2)), 2, "SAME", (9, 8))
