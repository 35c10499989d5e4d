"""The reference that ``drift`` compares with."""

from argparse import Namespace
from pathlib import Path

from batchproof_server.drift.profile_form import PROFILE_NAME
from batchproof_server.models.discovery import Place


def profile_file(arguments: Namespace, place: Place) -> Path:
    """That of ``--profile``, or of the bundle.

    Raises:
        ValueError: there is none; it says how to build one.
    """
    given: Path | None = arguments.profile
    profile = given or place.directory / PROFILE_NAME
    if not profile.is_file():
        raise ValueError(
            f"{profile}: no such file, expected a reference profile; build it with "
            f"`batchproof-server profile {arguments.bundle} --data LABELLED`"
        )
    return profile
