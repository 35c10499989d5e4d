"""The plugs of a recipe: who decodes and who resizes. The composition root fills the registries."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Protocol, TypeAlias

from batchproof_server.base.registry import Registry
from batchproof_server.imaging.geometry import Framing, Picture
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.resize import ResizePlan


# Contract of a decoder: pure and safe in any thread; the same bytes give the same bits. It is given
# files whose header has passed the limits. The picture is no larger than the header says and has 1
# or 3 channels (grey or RGB) as asked, uint8, or uint16 where grey of 16 bits is kept.
class Decoder(Protocol):
    """Turns an encoded file into a picture."""

    def decode(self, encoded: bytes, header: ImageHeader, channels: int) -> Picture:
        """Decodes the first frame.

        Raises:
            InvalidInput: the file is corrupt or uses what the decoder cannot read.
        """
        ...


# Contract of a resizer: pure and safe in any thread; the same picture gives the same bits. It is
# made for one plan, of which it keeps method, antialias and rounding, and knows no policy: what it
# reads, makes and keeps is said for each picture. What is not kept need not be made, and what is
# kept does not depend on that. A filter that blurs does so at the same size
# too, where its origin does.
class Resizer(Protocol):
    """Brings a picture to another size."""

    def resize(self, picture: Picture, framing: Framing) -> Picture:
        """What is kept of the picture at the size that is made of it, uint8 or float32."""
        ...


ResizerMaker: TypeAlias = Callable[[ResizePlan], Resizer]


@dataclass(frozen=True, slots=True)
class Plugs:
    """What recipes may name; see ``recipe.pillow_plugs`` for those that are always there."""

    decoders: Registry[Decoder] = field(default_factory=lambda: Registry("decoder"))
    resizers: Registry[ResizerMaker] = field(default_factory=lambda: Registry("resize library"))


def on_first_use(plugs: Plugs) -> Plugs:
    """The same names; what stands behind one is made when it is given a picture.

    For a process that has recipes and decodes nothing, or little: what decodes quickly, or as
    TensorFlow does, takes seconds and more than a hundred MB to be there.
    """
    lazy = Plugs()
    for name in plugs.decoders:
        lazy.decoders.register(name, _DecoderToCome(partial(plugs.decoders.__getitem__, name)))
    for name in plugs.resizers:
        lazy.resizers.register(name, partial(_resizer_to_come, plugs, name))
    return lazy


class _DecoderToCome:
    def __init__(self, make: Callable[[], Decoder]) -> None:
        self._made = cache(make)

    def decode(self, encoded: bytes, header: ImageHeader, channels: int) -> Picture:
        return self._made().decode(encoded, header, channels)


class _ResizerToCome:
    def __init__(self, make: Callable[[], Resizer]) -> None:
        self._made = cache(make)

    def resize(self, picture: Picture, framing: Framing) -> Picture:
        return self._made().resize(picture, framing)


def _resizer_to_come(plugs: Plugs, name: str, plan: ResizePlan) -> Resizer:
    return _ResizerToCome(lambda: plugs.resizers[name](plan))
