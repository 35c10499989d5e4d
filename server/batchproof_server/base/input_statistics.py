"""What is remembered of rows that a request brought, for whoever watches inputs."""

from batchproof_server.base.signature import Array
from batchproof_server.base.unguarded import unguarded


@unguarded(eq=False)
class SeenPixels:
    """Pixels of one picture, few enough to be kept until they are measured.

    Attributes:
        luma: of all of it, reduced: uint8 [height, width], up to 128 pixels a side.
        middle: the luma of its middle at its own size: uint8 [height, width], up to 64 pixels a
            side; the first is at a multiple of 8 of the picture, both ways.
        colours: of pixels spread over all of it: uint8 [pixels, 3], red, green and blue of up to
            1,024; None where the picture has one channel.
    """

    luma: Array
    middle: Array
    colours: Array | None


@unguarded(eq=False)
class InputStatistics:
    """What was seen of some rows before the model.

    Attributes:
        pixels: of the picture of each row; None for a row that came as a tensor.
        aspect_ratios: float64 [rows], width divided by height; NaN where there is no picture.
        tensor_means: float64 [rows]; NaN where the row itself was not made.
    """

    pixels: tuple[SeenPixels | None, ...]
    aspect_ratios: Array
    tensor_means: Array
