"""Errors, ranges, types and platform facts that every room may use."""
