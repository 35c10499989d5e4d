"""What protobuf writes, for those who write parts of a message by themselves."""

from typing import Final

_LOW_BITS: Final = 0x7F
_MORE: Final = 0x80


def varint(number: int) -> bytes:
    """A number of 0 or more as protobuf writes it: seven bits a byte, the lowest first.

    The format is that of protobuf's documentation, Encoding, "Base 128 Varints".
    """
    written = bytearray()
    while number > _LOW_BITS:
        written.append(number & _LOW_BITS | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)
