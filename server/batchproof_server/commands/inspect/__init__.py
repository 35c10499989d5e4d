"""The command ``inspect``."""
