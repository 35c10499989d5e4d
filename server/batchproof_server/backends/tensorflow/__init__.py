"""The engine TensorFlow: executes the traced functions of a source."""
