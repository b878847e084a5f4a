"""Compare runs: one table, curves over each other, and metrics against the settings that differ."""
