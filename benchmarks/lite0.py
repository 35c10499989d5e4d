"""EfficientNet-Lite0, layer by layer: EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from typing import Any, Final

# Repeats, kernel, stride, times the channels in between, channels out.
_STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS: Final = 32
_HEAD_CHANNELS: Final = 1280
_CLASSES: Final = 1000


def efficientnet_lite0(input_shape: tuple[int, int, int]) -> Any:
    """The network with random weights; its output is logits.

    Args:
        input_shape: of the pictures [height, width, 3], scaled already.
    """
    import keras  # noqa: PLC0415 - takes seconds, and only where it is needed

    layers = keras.layers
    pixels = keras.Input(input_shape)
    x = _normalized(keras, layers.Conv2D(_STEM_CHANNELS, 3, 2, "same", use_bias=False)(pixels))
    for repeats, kernel, stride, times, channels in _STAGES:
        for number in range(repeats):
            x = _block(keras, x, kernel, stride if number == 0 else 1, times, channels)
    x = _normalized(keras, layers.Conv2D(_HEAD_CHANNELS, 1, use_bias=False)(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, layers.Dense(_CLASSES)(x))


def _block(keras: Any, x: Any, kernel: int, stride: int, times: int, channels: int) -> Any:
    """An inverted bottleneck, with a shortcut where nothing changes its form."""
    layers, inside = keras.layers, x
    if times > 1:
        wide = layers.Conv2D(times * x.shape[-1], 1, use_bias=False)(x)
        inside = _normalized(keras, wide)
    inside = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False)(inside)
    inside = layers.Conv2D(channels, 1, use_bias=False)(_normalized(keras, inside))
    inside = layers.BatchNormalization()(inside)
    return layers.Add()([x, inside]) if stride == 1 and x.shape[-1] == channels else inside


def _normalized(keras: Any, x: Any) -> Any:
    return keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
