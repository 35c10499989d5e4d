"""Measures pictures for a diagnosis, by asking the core."""
