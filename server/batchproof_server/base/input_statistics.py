"""What is remembered of rows that a request brought, for whoever watches inputs."""

from dataclasses import dataclass

from batchproof_server.base.signature import Array


@dataclass(frozen=True, slots=True, eq=False)
class InputStatistics:
    """What was seen of some rows before the model.

    Attributes:
        lumas: of the picture of each row, uint8 [height, width], up to 128 pixels a side; None for
            a row that came as a tensor.
        aspect_ratios: float64 [rows], width divided by height; NaN where there is no picture.
        tensor_means: float64 [rows]; NaN where the row itself was not made.
    """

    lumas: tuple[Array | None, ...]
    aspect_ratios: Array
    tensor_means: Array
