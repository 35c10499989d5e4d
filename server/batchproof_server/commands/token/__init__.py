"""The command ``token``."""
