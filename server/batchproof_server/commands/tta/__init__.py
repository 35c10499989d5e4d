"""The commands ``tta evaluate`` and ``tta fit``."""
