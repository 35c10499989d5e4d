"""The command ``drift``."""
