"""The commands ``profile`` and ``profile merge``."""
