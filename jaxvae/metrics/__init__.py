"""Measure trained models: pure functions of arrays. The table in `jaxvae/evaluation/table.py` applies them to a run."""
