"""The command ``recipe``: which one is right, and what it makes of a picture."""
