"""The command ``ctl``."""
