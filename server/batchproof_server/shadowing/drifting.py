"""How a shadow drifts, in words. Pure."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from batchproof_server.base.clock import utc_of
from batchproof_server.drift.comparing import DriftComparison, SignalDrift

# What was counted of each version's answers, against its reference profile; by model and version.
Drifts: TypeAlias = Callable[[], Mapping[tuple[str, int], DriftComparison]]


def tell_drift(
    model: str,
    shadow: int,
    version: int,
    drifts: Mapping[tuple[str, int], DriftComparison],
    loaded_ms: Callable[[str, int], int | None],
) -> tuple[str, ...]:
    """What is said of a shadow's drift beside that of the version that answers.

    Where both drift alike it is what callers ask that has changed; where only the shadow does, it
    is the shadow.

    Args:
        model: of both.
        shadow: its number.
        version: that answers.
        drifts: of all versions with a profile.
        loaded_ms: when a version was loaded, which is when its drift begins to be counted.
    """
    own, other = drifts.get((model, shadow)), drifts.get((model, version))
    if own is None:
        return (f"version {shadow} has no reference profile, so its drift is not known",)
    told = f"version {shadow} beside its own reference: {_said(own, loaded_ms(model, shadow))}"
    if other is None:
        return (told,)
    said = _said(other, loaded_ms(model, version))
    return (told, f"version {version} beside its own: {said}")


def _said(drift: DriftComparison, since_ms: int | None) -> str:
    away = [each for each in drift.signals if each.is_drifted or each.verdict == "significant"]
    signals = "; ".join(map(_signal, away))
    since = "" if since_ms is None else f" since it was loaded at {utc_of(since_ms)}"
    return f"{drift.verdict} in {drift.rows} rows{since}{': ' if signals else ''}{signals}"


def _signal(signal: SignalDrift) -> str:
    return (
        f"{signal.name} {signal.verdict} (PSI {signal.psi_above_noise:+.3f} above its noise, "
        f"{signal.tv_distance:.1%} in other bins)"
    )
