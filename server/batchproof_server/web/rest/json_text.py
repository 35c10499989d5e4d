"""JSON of callers, counted before it is parsed, and ours."""

from typing import Any, Final

import orjson

from batchproof_server.base.errors import InvalidInput

MOST_JSON_BYTES: Final = 24 << 20
MOST_VALUES: Final = 1 << 19
MOST_CONTAINERS: Final = 1 << 17
MOST_KEYS: Final = 1 << 15
_WAY_OUT: Final = "send pictures as files, or tensors with the binary extension"


# Contract
#
# An entry of two bytes becomes an object of dozens, and the parser holds the interpreter until it
# is done. So bytes, commas, brackets and colons are counted first, whatever stands between them:
# they bound the objects and the time. Texts that hold half a million commas are refused with them.
# The parser
# itself takes 1,024 levels and no more; of equal keys the last counts; NaN and Infinity are no
# JSON; an integer beyond 64 bits becomes a float.
def read_json(text: bytes) -> Any:
    """What a text says.

    Raises:
        InvalidInput: it holds too much, or is no JSON.
    """
    if len(text) > MOST_JSON_BYTES:
        came = f"the JSON has {len(text)} bytes, expected {MOST_JSON_BYTES} at most"
        raise InvalidInput(f"{came}; {_WAY_OUT}")
    _check_count("values", text.count(b","), MOST_VALUES)
    _check_count("keys", text.count(b":"), MOST_KEYS)
    _check_count("lists and objects", text.count(b"[") + text.count(b"{"), MOST_CONTAINERS)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as fault:
        raise InvalidInput(f"the body is no JSON: {fault}") from fault


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise InvalidInput(
            f"the JSON has {count} {what} or more, expected {most} at most; {_WAY_OUT}"
        )


def write_json(value: Any) -> bytes:
    """The text of a value; arrays are lists of lists.

    A float32 is written with as few digits as make it that float32 again. What is no number is
    null, since JSON has no word for it.
    """
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
