"""The command ``repair``."""
