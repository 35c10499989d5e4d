"""The tables of benchmarks/drift.py, in Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from drift_windows import KS, KS_EVEN, PSI, RULE, SIZES, TESTS

_FEW_FALSE_ALARMS: Final = 0.05
_AIM: Final = 0.01
_ROUNDING: Final = 0.0005


def report(result: dict[str, Any]) -> str:
    """All tables."""
    parts = (
        _false_alarms(result),
        _any_false_alarms(result),
        _detection(result),
        _by_signal(result),
        _counters(result),
        _verdict(result),
    )
    return "\n\n".join("\n".join(part) for part in parts)


def _table(headings: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _false_alarms(result: dict[str, Any]) -> Iterator[str]:
    yield "False alarms of the rule, by signal (aim: 1 % at most)"
    yield ""
    found = result["false_alarms"][RULE]
    yield from _table(
        ("signal", *(f"N = {size}" for size in SIZES)),
        (
            (f"`{name}`", *(_percent(found[str(size)][name], 2) for size in SIZES))
            for name in result["settings"]["signals"]
        ),
    )


def _any_false_alarms(result: dict[str, Any]) -> Iterator[str]:
    yield "False alarms of any signal (and of the worst single one)"
    yield ""
    found = result["false_alarms"]
    yield from _table(
        ("test", *(f"N = {size}" for size in SIZES)),
        ((test, *(_any_and_worst(found[test][str(size)]) for size in SIZES)) for test in TESTS),
    )


def _any_and_worst(rates: dict[str, float]) -> str:
    worst = max(rate for name, rate in rates.items() if name != "any")
    return f"{_percent(rates['any'], 1)} ({_percent(worst, 1)})"


def _detection(result: dict[str, Any]) -> Iterator[str]:
    yield "Detection by any signal: rule / KS with Bonferroni / PSI > 0.1 / PSI > 0.2"
    yield "(in brackets where the test has more than 5 % false alarms at this N)"
    yield ""
    yield from _table(
        ("shift", *(f"N = {size}" for size in SIZES)),
        (
            (name, *(_cell(result, tests, str(size)) for size in SIZES))
            for name, tests in result["detection"].items()
        ),
    )


def _cell(result: dict[str, Any], tests: dict[str, Any], size: str) -> str:
    texts = []
    for test in (RULE, KS, *PSI):
        text = f"{tests[test][size]['any']:.0%}".removesuffix("%")
        texts.append(text if test == RULE or _is_fair(result, test, size) else f"({text})")
    return " / ".join(texts)


def _is_fair(result: dict[str, Any], test: str, size: str) -> bool:
    found: float = result["false_alarms"][test][size]["any"]
    return found < _FEW_FALSE_ALARMS


def _by_signal(result: dict[str, Any]) -> Iterator[str]:
    yield "Which signals see it: detection of the rule at N = 200, in percent"
    yield ""
    signals = result["settings"]["signals"]
    yield from _table(
        ("shift", *(f"`{name}`" for name in signals)),
        (
            (shift, *(f"{100 * tests[RULE]['200'][name]:.0f}" for name in signals))
            for shift, tests in result["detection"].items()
        ),
    )


def _counters(result: dict[str, Any]) -> Iterator[str]:
    yield "Windows between two readings of /metrics: share in which any signal fires (windows)"
    yield ""
    yield from _table(
        ("shift", *(f"N = {size}" for size in SIZES)),
        (
            (
                name,
                *(
                    f"{_percent(found[str(size)]['any'], 0)} ({found[str(size)]['windows']})"
                    for size in SIZES
                ),
            )
            for name, found in result["counters"].items()
        ),
    )


def _verdict(result: dict[str, Any]) -> Iterator[str]:
    found = result["false_alarms"][RULE]
    worst = max(
        (rate, name, size)
        for size, rates in found.items()
        for name, rate in rates.items()
        if name != "any"
    )
    met = "met" if worst[0] <= _AIM + _ROUNDING else "NOT met"
    yield f"False alarms: {_percent(worst[0], 2)} at most ({worst[1]}, N = {worst[2]}): aim {met}"
    windows = result["settings"]["windows"]
    cells = list(_cells(result))
    behind = [cell for cell in cells if cell[0] < -2 * (0.5 / windows) ** 0.5]
    yield (
        f"Detection by any signal against the better classical test with under 5 % false alarms: "
        f"{len(cells)} cells, mean difference {_points(cells)}, worst {100 * cells[0][0]:+.1f} "
        f"points ({cells[0][1]}, N = {cells[0][2]}); {len(behind)} cells behind by more than chance"
    )
    even = sorted(
        (tests[RULE][size]["any"] - tests[KS_EVEN][size]["any"], shift, size)
        for shift, tests in result["detection"].items()
        for size in map(str, SIZES)
    )
    yield (
        f"Detection by any signal against KS with 0.75 % false alarms for each signal: mean "
        f"difference {_points(even)}, worst {100 * even[0][0]:+.1f} points ({even[0][1]}, "
        f"N = {even[0][2]})"
    )
    single = sorted(_single(result))
    behind = [cell for cell in single if cell[0] < -2 * (0.5 / windows) ** 0.5]
    yield (
        f"Detection by each signal against the same test of that signal: {len(single)} cells, "
        f"mean difference {_points(single)}, worst {100 * single[0][0]:+.1f} points "
        f"({single[0][1]}, N = {single[0][2]}); {len(behind)} behind by more than chance"
    )


def _points(cells: Sequence[tuple[float, str, str]]) -> str:
    return f"{100 * sum(cell[0] for cell in cells) / len(cells):+.1f} points"


def _cells(result: dict[str, Any]) -> list[tuple[float, str, str]]:
    cells = []
    for shift, tests in result["detection"].items():
        for size in map(str, SIZES):
            fair = [t for t in (KS, *PSI) if _is_fair(result, t, size)]
            if fair:
                better = max(tests[test][size]["any"] for test in fair)
                cells.append((tests[RULE][size]["any"] - better, shift, size))
    return sorted(cells)


def _single(result: dict[str, Any]) -> Iterator[tuple[float, str, str]]:
    for shift, tests in result["detection"].items():
        for size in map(str, SIZES):
            fair = [t for t in (KS, *PSI) if _is_fair(result, t, size)]
            for name in result["settings"]["signals"] if fair else ():
                better = max(tests[test][size][name] for test in fair)
                yield tests[RULE][size][name] - better, f"{shift}, {name}", size


def _percent(share: float, digits: int) -> str:
    return f"{share:.{digits}%}".replace("%", " %")
