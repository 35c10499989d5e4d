"""The fast decoder and the float resizer: TensorFlow, used as Keras' image data sets use it.

Importing this module imports TensorFlow. Whoever composes the server does it, and only where a
recipe asks for it.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array  # noqa: TC001 - beside its siblings
from batchproof_server.imaging.formats.table import FORMATS
from batchproof_server.imaging.geometry import Framing, Picture, as_array
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.resize import ResizePlan

# Kernels of other devices give other bits.
_DEVICE = "/CPU:0"


class TensorFlowDecoder:
    """``tf.io.decode_image``: the fast DCT (IFAST), which has no parameter to change it."""

    def decode(self, encoded: bytes, header: ImageHeader, channels: int) -> Picture:
        """Decodes the first frame.

        Raises:
            InvalidInput: the file is corrupt, truncated, or of a kind that TensorFlow cannot read.
        """
        # TensorFlow would decode all frames of a GIF before it drops all but the first, and all
        # scans of a JPEG however many. A PNG stays whole: its gamma decides TensorFlow's grey.
        contents = encoded if header.format == "png" else FORMATS[header.format].bare(encoded)
        try:
            with tf.device(_DEVICE):
                pixels: Array = tf.io.decode_image(
                    contents, channels=channels, expand_animations=False
                ).numpy()
        except tf.errors.OpError as fault:
            raise InvalidInput(
                f"the {header.format} file is corrupt, truncated, or of a kind that the decoder "
                "tensorflow-fast cannot read"
            ) from fault
        return pixels


class TensorFlowResizer:
    """``tf.image.resize`` in float32, with half-pixel centres.

    It runs as a function of unknown sizes, as in a ``tf.data`` pipeline: called at once, TensorFlow
    leaves out the filter where the size stays, and ``gaussian`` and ``mitchellcubic`` blur.

    Args:
        plan: whose method, antialias and rounding are used.
    """

    def __init__(self, plan: ResizePlan) -> None:
        self._rounds = plan.rounding == "uint8"
        self._functions = {
            depth: _resize_function(plan, depth) for depth in (tf.uint8.name, tf.uint16.name)
        }

    def resize(self, picture: Picture, framing: Framing) -> Picture:
        """What is kept at the size that is made; uint8 where the plan rounds."""
        pixels = framing.read.of(as_array(picture))
        size = framing.made.height, framing.made.width
        # Traced when it is called, TensorFlow would warn of so many functions of one line: recipes
        # that are compared have one each.
        with tf.device(_DEVICE):
            traced = self._functions[pixels.dtype.name].get_concrete_function()
            resized: Array = traced(tf.constant(pixels), tf.constant(size)).numpy()
        cut: Array = framing.kept.of(resized)
        return np.clip(np.rint(cut), 0, 255).astype(np.uint8) if self._rounds else cut


def _resize_function(plan: ResizePlan, depth: str) -> Any:
    def resize(pixels: Any, size: Any) -> Any:
        return tf.image.resize(pixels, size, method=plan.method, antialias=plan.antialias)

    signature = (tf.TensorSpec((None, None, None), depth), tf.TensorSpec((2,), tf.int32))
    return tf.function(resize, input_signature=signature, autograph=False)
