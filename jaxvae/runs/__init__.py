"""Manage run folders: checkpoints, logs, restoring, and a trained run with its data."""
