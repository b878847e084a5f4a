"""The folder of a run: checkpoints, log, restoring, and a trained run beside its data."""
