"""What the user may set about drift."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """Whether predictions are compared with the profile of their bundle.

    Attributes:
        enabled: read ``profile.json`` and count the signals; without it only the confidence is
            counted.
        unfit_profile: a profile that does not parse, or is of another model, recipe or policy:
            ``refuse`` the version with the findings, or ``ignore`` the profile and serve without.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    enabled: bool = True
    unfit_profile: Literal["refuse", "ignore"] = "refuse"
