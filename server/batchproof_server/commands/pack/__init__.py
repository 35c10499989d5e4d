"""The command ``pack``."""
