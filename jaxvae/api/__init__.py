"""The entry in Python: train and load runs, and the settings and configs that it shares with the command line."""
