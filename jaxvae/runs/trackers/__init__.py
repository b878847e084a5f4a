"""Experiment trackers, `train.trackers`: TensorBoard, Weights & Biases and MLflow behind one interface."""
