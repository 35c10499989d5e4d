"""The command ``certify``."""
