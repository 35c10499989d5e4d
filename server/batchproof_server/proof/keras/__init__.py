"""Audit and repair of Keras models."""
