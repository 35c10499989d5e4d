"""The plugs of a recipe: who decodes and who resizes. The composition root fills the registries."""

from collections.abc import Callable
from dataclasses import dataclass, field
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
