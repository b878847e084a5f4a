"""The linear-Gaussian model at a context: p(z|c) = N(u(c), I), and x is moved by v(c), so log p(x|c) is known."""

import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist

CONTEXT = 2
TO_Z = np.random.default_rng(2).normal(size=(CONTEXT, lg.LATENT)).astype(np.float32)
TO_X = np.random.default_rng(3).normal(size=(CONTEXT, lg.DATA)).astype(np.float32)


def encode(params, x, context):
    inner = lg.MODEL.encode(params, x - context @ TO_X).base_dist
    return dist.Normal(inner.loc + context @ TO_Z, inner.scale).to_event(1)


def decode(params, z, context):
    inner = lg.MODEL.decode(params, z - context @ TO_Z).base_dist
    return dist.Normal(inner.loc + context @ TO_X, inner.scale).to_event(1)


def prior(params, context):
    return dist.Normal(context @ TO_Z, 1.0).to_event(1)


MODEL = lg.MODEL._replace(encode=encode, decode=decode, prior=prior, context_dim=CONTEXT)
ONE, TWO = np.float32([0.5, -1.0]), np.float32([-1.5, 2.0])
BOTH = np.stack([ONE, TWO, ONE, TWO])
X = lg.X + BOTH @ TO_X
