"""The folder in which the servers of one run keep their certificates, each model proven once."""

from typing import Final

SHARED_CERTIFICATES: Final = "TESTS_SHARED_CERTIFICATES"
"""The environment variable that names it."""
