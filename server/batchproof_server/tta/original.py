"""The picture that views are made of, in the forms that Pillow and numpy want."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from batchproof_server.base.signature import Array
from batchproof_server.imaging.geometry import Picture, as_array


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """A decoded, upright picture in both forms, so that no view has to convert it again.

    Attributes:
        image: of the modes L, RGB, or I;16 or I, which hold 16 bits.
        pixels: [height, width, channels]; may be read-only.
    """

    image: Image.Image
    pixels: Array

    @staticmethod
    def of(picture: Picture) -> "Original":
        """Both forms of a picture that came in one."""
        pixels = as_array(picture)
        return Original(picture if isinstance(picture, Image.Image) else _image(pixels), pixels)

    @property
    def filterable(self) -> Image.Image:
        """What Pillow's filters take: 16 bits as floats only, which hold every level exactly."""
        return self.image if self.has_8_bits else _image(self.pixels.astype(np.float32))

    def as_deep(self, filtered: Image.Image) -> Picture:
        """What a filter made of ``filterable``, at the depth of this picture."""
        if self.has_8_bits:
            return filtered
        levels = np.clip(np.floor(as_array(filtered) + 0.5), 0, self.highest_level)
        return levels.astype(self.pixels.dtype)

    @property
    def has_8_bits(self) -> bool:
        """Whether white is 255, and not 65535."""
        return self.pixels.dtype == np.uint8

    @property
    def highest_level(self) -> int:
        """White."""
        return 255 if self.has_8_bits else 65535

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])


def _image(pixels: Array) -> Image.Image:
    bare = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(bare))
