"""How a shadow drifts, in words. Pure."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from batchproof_server.drift.comparing import DriftComparison, SignalDrift

# What was counted of each version's answers, against its reference profile; by model and version.
Drifts: TypeAlias = Callable[[], Mapping[tuple[str, int], DriftComparison]]


def tell_drift(
    model: str, shadow: int, version: int, drifts: Mapping[tuple[str, int], DriftComparison]
) -> tuple[str, ...]:
    """What is said of a shadow's drift beside that of the version that answers.

    Where both drift alike it is what callers ask that has changed; where only the shadow does, it
    is the shadow.

    Args:
        model: of both.
        shadow: its number.
        version: that answers.
        drifts: of all versions with a profile.
    """
    own, other = drifts.get((model, shadow)), drifts.get((model, version))
    if own is None:
        return (f"version {shadow} has no reference profile, so its drift is not known",)
    told = f"version {shadow} beside its own reference: {_said(own)}"
    if other is None:
        return (told,)
    return (told, f"version {version} beside its own: {_said(other)}")


def _said(drift: DriftComparison) -> str:
    away = [each for each in drift.signals if each.is_drifted or each.verdict == "significant"]
    signals = "; ".join(map(_signal, away))
    return f"{drift.verdict} in {drift.rows} rows{': ' if signals else ''}{signals}"


def _signal(signal: SignalDrift) -> str:
    return (
        f"{signal.name} {signal.verdict} (PSI {signal.psi_above_noise:+.3f} above its noise, "
        f"{signal.tv_distance:.1%} in other bins)"
    )
