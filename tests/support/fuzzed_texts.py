"""Files of settings as nobody writes them: tokens replaced, dropped, doubled and nested."""

import re
from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from support.mutations import mutated

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[-+.\w]+|\S|\n')
# What the parsers and the checks behind them could stumble over, in TOML and in JSON.
HOSTILE: Final = (
    "0", "-1", "1e999", "-1e999", "1e-320", "9" * 5_000, str(2**63), str(2**64), "nan", "inf",
    "NaN", "-Infinity", "true", "null", '""', '"x"', '"\\ud800"', '"\\u0000"', '"\\u202e"', '"1"',
    '"' + "y" * 3_000 + '"', "[]", "{}", "[[]]", '[""]', "[" * 2_000, "[" * 200 + "]" * 200,
    '{"a": {"a": 1}}', "[1, 1]", "[0, 1e400]", "1979-05-27T07:32:00Z", "0x10", "1_000", "\ufeff",
    "\x1b[31m", "#", ",", "=", "[a.b]", '"../x"', "\ud800",
)  # fmt: skip


@st.composite
def changed_texts(draw: st.DrawFn, bases: Sequence[bytes]) -> bytes:
    """One of the bases with up to four tokens changed; or bytes of it, which may be no text."""
    if draw(st.integers(0, 4)) == 0:
        return draw(mutated(bases))
    text = draw(st.sampled_from(bases)).decode(errors="replace")
    for _ in range(draw(st.integers(1, 4))):
        text = draw(_changed(text))
    return text.encode("utf-8", "surrogatepass")


@st.composite
def _changed(draw: st.DrawFn, text: str) -> str:
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return draw(st.sampled_from(HOSTILE))
    here, other = (draw(st.sampled_from(tokens)) for _ in range(2))
    new: str = draw(
        st.one_of(
            st.sampled_from(HOSTILE),
            st.just(other.group()),
            st.just(""),
            st.just(f"{here.group()} {here.group()}"),
            st.floats().map(repr),
            st.integers().map(str),
        )
    )
    return text[: here.start()] + new + text[here.end() :]
