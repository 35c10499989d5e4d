"""The engine numpy: executes affine models."""
