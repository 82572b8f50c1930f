"""Numbers of fewer bits: an ONNX file becomes one that computes or keeps them, and says which of its nodes do."""
