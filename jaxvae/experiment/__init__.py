"""From the settings of a config to parts, and from parts to a model, an objective and data."""
