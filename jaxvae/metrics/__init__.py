"""What a trained model is judged by: pure functions of arrays, and a table (`table.py`) that asks them of a run."""
