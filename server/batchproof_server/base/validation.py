"""Checks untrusted configuration against frozen dataclasses and names every fault at once."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, ConfigDict, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from batchproof.text import joined
from batchproof_server.base.errors import cut

# Every dataclass of settings carries this as ``__pydantic_config__``: an unknown key is a fault.
NO_UNKNOWN_KEYS = ConfigDict(extra="forbid")

Settings = TypeVar("Settings")


class InvalidSettings(ValueError):
    """Settings that do not validate.

    Args:
        faults: one line for each fault, beginning with the path of the key.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(joined(faults))
        self.faults = faults


def parse_settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Builds a frozen dataclass (and those that it nests) from plain values.

    A dataclass that raises ``InvalidSettings`` has each of its faults put under its own path.

    Raises:
        InvalidSettings: with every fault, not only the first.
    """
    # mypy does not take every class for hashable.
    adapter: TypeAdapter[Settings] = _adapter(cast("Any", kind))
    try:
        return adapter.validate_python(values)
    except ValidationError as invalid:
        raise InvalidSettings(
            tuple(
                sentence
                for fault in invalid.errors(include_url=False)
                for sentence in _sentences(fault, kind)
            )
        ) from invalid


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """What checks values of a kind; making it takes longer than all its checks."""
    return TypeAdapter(kind)


def parse_document(kind: type[Settings], text: str) -> Settings:
    """The same from the text of a JSON file; numbers that are not finite are no JSON.

    Raises:
        InvalidSettings: it is no JSON, or has faults; one line for each, beginning with its path.
    """
    try:
        values: Any = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as fault:  # no JSON, too large a number, too deep
        raise InvalidSettings((f"(root): no JSON: {parser_says(fault)}",)) from fault
    if not isinstance(values, Mapping):
        raise InvalidSettings((f"(root): {type(values).__name__}, expected an object",))
    return parse_settings(kind, values)


def refuse_constant(name: str) -> float:
    """For ``json.loads``: what Python reads as NaN or an infinity is no number of JSON."""
    raise ValueError(f"{name} is no number of JSON")


def parser_says(fault: Exception) -> str:
    """What a parser of text from outside says, without words about the parser itself."""
    if isinstance(fault, RecursionError):
        return "it is nested too deep"
    if isinstance(fault, UnicodeDecodeError):
        return "it is not UTF-8 text"
    # Python's limit of the digits of an integer has no type of its own.
    if str(fault).startswith(_TOO_MANY_DIGITS):
        return "a number has too many digits"
    return str(fault)


_TOO_MANY_DIGITS: Final = "Exceeds the limit"


def checked_by(check: Callable[[str], object]) -> AfterValidator:
    """For ``Annotated[str, ...]``: the text is kept when the check raises no ValueError."""

    def checked(text: str) -> str:
        check(text)
        return text

    return AfterValidator(checked)


def read_by(read: Callable[[object], object]) -> PlainValidator:
    """For ``Annotated[..., ...]``: the value is what is read of it; a ValueError says what not."""
    return PlainValidator(read)


def _sentences(fault: ErrorDetails, kind: type) -> Iterator[str]:
    cause = fault.get("ctx", {}).get("error")
    if not isinstance(cause, InvalidSettings):
        yield _sentence(fault, kind)
        return
    path = "".join(f"{part}." for part in fault["loc"])
    yield from (path + nested for nested in cause.faults)


def _sentence(fault: ErrorDetails, kind: type) -> str:
    path = ".".join(str(part) for part in fault["loc"]) or "(root)"
    came = fault["input"]
    match fault["type"]:
        case "literal_error":
            return f"{path}: unknown {_shown(came)}, one of {fault['ctx']['expected']}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{path}: unknown key{_nearest(kind, fault['loc'])}"
        case "missing" | "missing_argument":
            return f"{path}: missing"
        case "value_error":
            return f"{path}: {fault['ctx']['error']}"
        case _:
            return f"{path}: {fault['msg']}, not {_shown(came)}"


def _nearest(kind: type, path: Sequence[int | str]) -> str:
    """The known key that an unknown one most resembles, as the end of a sentence."""
    known = {each for inner in _inside(kind, path[:-1]) for each in _keys(inner)}
    close = difflib.get_close_matches(str(path[-1]), sorted(known), n=1)
    return f'; the nearest known one is "{close[0]}"' if close else ""


def _keys(kind: Any) -> Iterator[str]:
    yield from (each.name for each in fields(kind) if each.init)


def _inside(kind: Any, path: Sequence[int | str]) -> Iterator[Any]:
    """The dataclasses of settings that may lie at a path below ``kind``."""
    if not is_dataclass(kind):
        for each in get_args(kind):  # of a union, a mapping, a tuple
            yield from _inside(each, path[1:] if _holds_by_key(kind) else path)
    elif not path:
        yield kind
    elif path[0] in set(_keys(kind)):
        yield from _inside(get_type_hints(kind)[str(path[0])], path[1:])


def _holds_by_key(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping | Sequence)


def _shown(value: object) -> str:
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    return cut(shown)
