"""Export a run: programs for other runtimes (StableHLO, ONNX), and a folder of weights with a model card."""
