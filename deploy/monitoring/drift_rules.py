"""The rules of drift. Formulas and their sources: docs/drift-rules.md."""

from batchproof_server.drift.binning import MAX_BINS
from batchproof_server.drift.class_groups import UNORDERED
from batchproof_server.drift.counters import MAX_DEVIATION
from batchproof_server.drift.distances import PRIOR_OBSERVATIONS
from batchproof_server.drift.significance import (
    ANDERSON_DARLING,
    CHI2_Z,
    LEAST_OBSERVATIONS,
    UNORDERED_CHI2_Z,
    UNSURE_OBSERVATIONS,
)
from monitoring.rules import Group, Record, Rule
from monitoring.thresholds import KS_FACTOR

MODEL = "model, version, profile"
SIGNAL = f"{MODEL}, signal"
BIN = f"{SIGNAL}, bin"
NO_ORDER = "|".join(UNORDERED)

P = "model_signal_bin:drift_reference_share_ratio"
M = "model_signal:drift_reference_observations"
B = "model_signal:drift_bins"
# Where the middle of a bin stands among the reference, from 0 to 1.
U = "model_signal_bin:drift_reference_midrank_ratio"


def reference_group() -> Group:
    """What does not depend on the window. Replicas agree on it, so that any one will do."""
    return Group(
        "batchproof-drift-reference",
        (
            Record(P, f"max by ({BIN}) (batchproof_drift_reference_share_ratio)"),
            Record(M, f"max by ({SIGNAL}) (batchproof_drift_reference_observations)"),
            Record(B, f"count by ({SIGNAL}) ({P})"),
            *_cumulative("model_signal_bin:drift_reference_cumulative_ratio", P),
            Record(U, f"model_signal_bin:drift_reference_cumulative_ratio - {P} / 2"),
        ),
    )


def _cumulative(name: str, values: str) -> tuple[Record, ...]:
    """Sums up to each bin, itself included. PromQL cannot add up over a label."""
    bins = [f"{number:02d}" for number in range(MAX_BINS)]
    return tuple(
        Record(
            name,
            f"""
            sum by ({SIGNAL}) ({values}{{signal!~"{NO_ORDER}", bin=~"{"|".join(bins[: number + 1])}"}})
              and on ({SIGNAL})
            {P}{{bin="{bins[number]}"}}
            """,
            {"bin": bins[number]},
        )
        for number in range(MAX_BINS)
    )


def drift_group(window: str, alerts: tuple[Rule, ...]) -> Group:
    """The distances and tests over one window, and the alerts on them."""
    rules: tuple[Rule, ...] = (
        *_counts(window),
        *_distances(window),
        *_chi_square(window),
        *_mean_shift(window),
        *_cumulative_tests(window),
        *_significance(window),
        *alerts,
    )
    return Group(f"batchproof-drift-{window}", rules)


def _counts(window: str) -> tuple[Rule, ...]:
    n, total = _n(window), observations(window)
    return (
        # A bin that no replica counts is empty, not unknown.
        Record(
            n,
            f"""
            sum by ({BIN}) (increase(batchproof_drift_observations_total[{window}]))
              or
            0 * {P}
            """,
        ),
        Record(total, f"sum by ({SIGNAL}) ({n})"),
        Record(
            _q(window),
            f"""
            ({n} + {PRIOR_OBSERVATIONS} * {P})
              / on ({SIGNAL}) group_left ()
            ({total} + {PRIOR_OBSERVATIONS})
            """,
        ),
        # As many observations of a known distribution would tell as much.
        Record(_effective(window), f"1 / (1 / ({total} > 0) + 1 / {M})"),
        Record(
            f"model_signal_bin:share_difference:{window}",
            f"{n} / on ({SIGNAL}) group_left () ({total} > 0) - {P}",
        ),
    )


def _distances(window: str) -> tuple[Rule, ...]:
    q = _q(window)
    psi, floor = f"model_signal:psi:{window}", f"model_signal:psi_noise_floor:{window}"
    return (
        Record(psi, f"sum by ({SIGNAL}) (({q} - {P}) * ln({q} / {P}))"),
        Record(
            f"model_signal:js_distance:{window}",
            f"""
            sqrt(clamp_min(0.5 * sum by ({SIGNAL}) (
              {q} * log2(2 * {q} / ({q} + {P}))
                +
              {P} * log2(2 * {P} / ({q} + {P}))
            ), 0))
            """,
        ),
        Record(
            f"model_signal:tv_distance:{window}",
            f"0.5 * sum by ({SIGNAL}) (abs({q} - {P}))",
        ),
        Record(floor, f"({B} - 1) * (1 / ({observations(window)} > 0) + 1 / {M})"),
        Record(f"model_signal:psi_above_noise:{window}", f"{psi} - {floor}"),
    )


def _chi_square(window: str) -> tuple[Rule, ...]:
    effective = _effective(window)
    difference = f"model_signal_bin:share_difference:{window}"
    # The uncertainty of the reference's own shares, in a signal whose shares may be of few.
    unsure = f"({P} + on ({SIGNAL}) group_left () {UNSURE_OBSERVATIONS} / {M})"
    expected = f"({unsure} * on ({SIGNAL}) group_left () {effective})"
    chi2, spread = f"model_signal:chi2:{window}", f"model_signal:chi2_spread:{window}"
    freedom = f"({B} > 1) - 1"
    return (
        Record(
            chi2,
            f"""
            sum by ({SIGNAL}) (
              ({difference} * on ({SIGNAL}) group_left () {effective}) ^ 2
                /
              clamp_min({expected}, 1)
            )
            """,
        ),
        # The exact variance of the statistic over 9 k^2: 2 / 9 k when no bin is rare.
        Record(
            spread,
            f"""
            (
              2 * ({freedom})
                +
              clamp_min(
                (
                  sum by ({SIGNAL}) (
                    1 / {P} - clamp_min(1 / {P} - on ({SIGNAL}) group_left () {effective}, 0)
                  )
                    - ({B} ^ 2 + 2 * {B} - 2)
                ) / {effective},
                0)
            ) / (9 * ({freedom}) ^ 2)
            """,
        ),
        Record(
            f"model_signal:chi2_zscore:{window}",
            f"(({chi2} / ({freedom})) ^ (1 / 3) - (1 - {spread})) / sqrt({spread})",
        ),
    )


def _mean_shift(window: str) -> tuple[Rule, ...]:
    shift = f"model_signal:mean_shift:{window}"
    deviation = "batchproof_drift_deviation"
    return (
        # The sum of the bins will not do: increase() extrapolates each counter on its own.
        Record(
            shift,
            f"""
            sum by ({SIGNAL}) (increase({deviation}_sum_total[{window}]))
              /
            (sum by ({SIGNAL}) (increase({deviation}s_total[{window}])) > 0)
              - {MAX_DEVIATION:g}
            """,
        ),
        Record(
            f"model_signal:mean_shift_zscore:{window}",
            f"{shift} / {_standard_error(window)}",
        ),
    )


def _cumulative_tests(window: str) -> tuple[Rule, ...]:
    """Anderson-Darling over the midranks of the bins, and Kolmogorov-Smirnov."""
    difference = f"model_signal_bin:share_difference:{window}"
    cumulative = f"model_signal_bin:cumulative_difference:{window}"
    return (
        *_cumulative(cumulative, difference),
        Record(
            f"model_signal:anderson_darling:{window}",
            f"""
            sum by ({SIGNAL}) ({P} * ({cumulative} - {difference} / 2) ^ 2 / ({U} * (1 - {U})))
              * {_effective(window)}
            """,
        ),
        Record(f"model_signal:ks:{window}", f"max by ({SIGNAL}) (abs({cumulative}))"),
        Record(
            f"model_signal:ks_critical:{window}",
            f"{KS_FACTOR} * {_standard_error(window)}",
        ),
    )


def _significance(window: str) -> tuple[Rule, ...]:
    name, total = f"model_signal_test:drift_significance:{window}", observations(window)
    z = f"model_signal:chi2_zscore:{window}"
    return (
        Record(
            name,
            f"""
            {z}{{signal=~"{NO_ORDER}"}} / {UNORDERED_CHI2_Z}
              or
            {z}{{signal!~"{NO_ORDER}"}} / {CHI2_Z}
            """,
            {"test": "chi2"},
        ),
        Record(
            name,
            f"(model_signal:anderson_darling:{window} and on ({SIGNAL}) {B} > 1) / {ANDERSON_DARLING}",
            {"test": "anderson_darling"},
        ),
        Record(
            f"model_signal:drift_significant:{window}",
            f"""
            (max by ({SIGNAL}) ({name}) > bool 1)
              *
            ({total} >= bool {LEAST_OBSERVATIONS})
            """,
        ),
    )


def _n(window: str) -> str:
    return f"model_signal_bin:drift_observations:increase{window}"


def observations(window: str) -> str:
    """The series of a signal's observations in the window."""
    return f"model_signal:drift_observations:increase{window}"


def _q(window: str) -> str:
    return f"model_signal_bin:share:{window}"


def _effective(window: str) -> str:
    return f"model_signal:drift_effective_observations:{window}"


def _standard_error(window: str) -> str:
    """Of a mean of N against a mean of M, in standard deviations."""
    return f"sqrt(1 / ({observations(window)} > 0) + 1 / {M})"
