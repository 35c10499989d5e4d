"""What decoding a file takes, measured (docs/measurements/decoding.md)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class DecodingCost:
    """The most that a decoder takes.

    Attributes:
        accurate: bytes a pixel of the decoder ``accurate``, the picture among them.
        tensorflow_fast: bytes a pixel of the decoder ``tensorflow-fast``, likewise.
    """

    accurate: int
    tensorflow_fast: int


# Pillow holds a picture of colours in 4 bytes a pixel, of grey levels or of a palette in 1, of 16
# bits in 2. Where the model wants another kind than the file has, both are there for a moment.
# TensorFlow's own has 3, and the array that is made of it 3 more.
IN_COLOUR: Final = 4
IN_TENSORFLOW: Final = 6
WITH_ALPHA: Final = DecodingCost(2 * IN_COLOUR, IN_TENSORFLOW)
"""With alpha, then without; more than a palette or 16 bits and then colours."""
