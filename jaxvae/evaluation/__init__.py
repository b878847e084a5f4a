"""Compute the metrics of a trained run, and results.json."""
