"""The command ``diagnose``."""
