"""How much of a picture is let in, decided before anything is decoded."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

# Above this Pillow warns of a decompression bomb (its MAX_IMAGE_PIXELS, 1 GiB / 4 / 3).
# A limit of ours that never exceeds it keeps that warning silent without touching Pillow.
_PILLOW_LIMIT_PIXELS = 89_478_485


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits on one encoded picture.

    Attributes:
        max_image_bytes: length of the encoded file.
        max_image_pixels: width times height as the file's header declares them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    max_image_bytes: int = 10_000_000
    max_image_pixels: int = 40_000_000

    def __post_init__(self) -> None:
        if self.max_image_bytes < 1:
            raise ValueError("max_image_bytes must be 1 or more")
        if not 1 <= self.max_image_pixels <= _PILLOW_LIMIT_PIXELS:
            raise ValueError(f"max_image_pixels must be 1 to {_PILLOW_LIMIT_PIXELS}")
