"""The metrics of a trained run: which fit it, their table, results.json."""
