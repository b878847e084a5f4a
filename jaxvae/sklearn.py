"""Estimators for scikit-learn."""

from jaxvae.api.transformer import VAETransformer

__all__ = ["VAETransformer"]
