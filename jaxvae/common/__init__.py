"""Errors, ranges, types and platform facts for all rooms."""
