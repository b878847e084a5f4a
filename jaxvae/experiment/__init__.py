"""Build parts, a model, an objective and data from the settings of a config."""
