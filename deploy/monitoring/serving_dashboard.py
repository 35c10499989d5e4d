"""The dashboard of serving: traffic, latency, micro-batches, shedding, the self-check."""

from monitoring.dashboard import Dashboard, Section, Variable
from monitoring.drift_choices import PSI_LINES
from monitoring.panels import Row, colored, lines, panels, stat
from monitoring.serving_rules import ASKED
from monitoring.thresholds import SHED_BUDGET, SLOW_BUDGET, SLOW_S

_MODEL = 'model="$model", version=~"$version"'
_RATE = "[$__rate_interval]"
_FAILED = 'code=~"INTERNAL|UNAVAILABLE|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED|UNKNOWN"'


def serving_dashboard() -> Dashboard:
    """The whole dashboard."""
    return Dashboard(
        uid="batchproof-serving",
        title="batchproof: serving",
        description="What callers get: traffic, latency, micro-batches, shedding, the self-check.",
        variables=(
            Variable("model", "Model", "label_values(batchproof_model_info, model)"),
            Variable(
                "version",
                "Version",
                'label_values(batchproof_model_info{model="$model"}, version)',
                has_all=True,
            ),
        ),
        sections=(
            Section("Now", panels(stat, _NOW, width=4)),
            Section("Traffic", panels(lines, _TRAFFIC, minimum=0, width=12)),
            Section("Latency", panels(lines, _LATENCY, minimum=0, width=12)),
            Section("Micro-batches", panels(lines, _MICRO_BATCHES, minimum=0, width=6)),
            Section("Refusals and proofs", panels(lines, _REFUSALS, minimum=0)),
            Section("Priorities", panels(lines, _PRIORITIES, minimum=0)),
            Section("Canary and shadow", panels(lines, _COMPARED, width=8)),
            Section("Traces and capture", panels(lines, _KEPT, minimum=0, width=12)),
            Section("Process", panels(lines, _PROCESS, minimum=0, width=12)),
        ),
    )


def _rate(metric: str, *matchers: str) -> str:
    return f"rate(batchproof_{metric}{{{', '.join((_MODEL, *matchers))}}}{_RATE})"


def _quantile(q: float, metric: str, *matchers: str) -> str:
    return f"histogram_quantile({q}, sum by (le) ({_rate(metric + '_bucket', *matchers)}))"


def _total(metric: str, *matchers: str) -> str:
    return f"sum({_rate(metric, *matchers)})"


def _by(label: str, metric: str, legend: str = "") -> dict[str, str]:
    """One series for each value of a label, which its legend is too unless it says more."""
    return {legend or f"{{{{{label}}}}}": f"sum by ({label}) ({_rate(metric)})"}


_RESULT_COLORS = {"identical": "green", "different": "red", "skipped": "yellow"}
_CODE_COLORS = {
    "OK": "green",
    "CANCELLED": "text",
    "INVALID_ARGUMENT": "blue",
    "RESOURCE_EXHAUSTED": "yellow",
    "DEADLINE_EXCEEDED": "orange",
    "UNAVAILABLE": "purple",
    "INTERNAL": "red",
}
_ROWS = _total("micro_batch_rows_sum")
_PADDING = _total("padding_rows_total")
_OURS = "and on (job, instance) batchproof_build_info"

_NOW: tuple[Row, ...] = (
    ("Requests", "Requests answered.", {"": _total("requests_total")}, {"unit": "reqps"}),
    (
        "Failed",
        "Share of the requests that the server failed or refused.",
        {"": f"{_total('requests_total', _FAILED)} / ({_total('requests_total')} > 0)"},
        {
            "unit": "percentunit",
            "decimals": 2,
            "limits": ((None, "green"), (0.001, "orange"), (0.01, "red")),
        },
    ),
    (
        "99th percentile",
        "Of what callers wait for a single request.",
        {"": _quantile(0.99, "request_duration_seconds", ASKED)},
        {"unit": "s", "limits": ((None, "green"), (SLOW_S, "red"))},
    ),
    (
        "Rows waiting",
        "Rows in the queues now.",
        {"": f"sum(batchproof_queue_rows{{{_MODEL}}})"},
        {},
    ),
    (
        "Versions ready",
        "Versions that answer now, over all replicas.",
        {"": f"sum(batchproof_model_ready{{{_MODEL}}})"},
        {"limits": ((None, "red"), (1, "green"))},
    ),
    (
        "Versions failed",
        "Versions that could not be loaded, over all replicas; others may answer in their place.",
        {"": f"sum(batchproof_model_failed{{{_MODEL}}})"},
        {"decimals": 0, "limits": ((None, "green"), (1, "red"))},
    ),
    (
        "Answers found wrong",
        "By the self-check, in the last 24 hours. Anything but 0 is a fault of the proof.",
        {"": f'sum(increase(batchproof_selfcheck_total{{{_MODEL}, result="different"}}[24h]))'},
        {"decimals": 0, "limits": ((None, "green"), (1, "red"))},
    ),
)
_TRAFFIC: tuple[Row, ...] = (
    (
        "Requests by code",
        "The gRPC code of each answer.",
        _by("code", "requests_total"),
        {"unit": "reqps", "is_stacked": True, "overrides": colored(_CODE_COLORS)},
    ),
    (
        "Requests by method",
        "Each request of a stream counts once.",
        _by("method", "requests_total"),
        {"unit": "reqps", "is_stacked": True},
    ),
)
_LATENCY: tuple[Row, ...] = (
    (
        "What callers wait",
        f"Single requests, refusals included. The dashed line is the objective: {SLOW_S * 1000:g} ms.",
        {
            name: _quantile(q, "request_duration_seconds", ASKED)
            for q, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
        },
        {
            "unit": "s",
            "limits": ((None, "transparent"), (SLOW_S, "red")),
            "has_limit_lines": True,
        },
    ),
    (
        "Slow requests",
        f"Share above {SLOW_S * 1000:g} ms. More than {SLOW_BUDGET * 100:g} % spends the budget faster than it grows.",
        {
            f"last {window}": f"max(model:slow_requests:ratio_rate{window}{{{_MODEL}}})"
            for window in ("5m", "1h")
        },
        {
            "unit": "percentunit",
            "usual_maximum": 2 * SLOW_BUDGET,
            "limits": ((None, "transparent"), (SLOW_BUDGET, "red")),
            "has_limit_lines": True,
        },
    ),
    (
        "Where the time goes: 95th percentiles",
        "Waiting for a micro-batch, on the device.",
        {
            "queue delay": _quantile(0.95, "queue_delay_seconds"),
            "execution": _quantile(0.95, "execution_seconds"),
        },
        {"unit": "s"},
    ),
    (
        "Decoding: 95th percentile",
        "From an encoded image to an input row. All models together.",
        {
            "{{format}}": f"histogram_quantile(0.95, sum by (format, le) (rate(batchproof_decode_seconds_bucket{_RATE})))"
        },
        {"unit": "s"},
    ),
)
_MICRO_BATCHES: tuple[Row, ...] = (
    (
        "Rows in a micro-batch",
        "On average, before padding.",
        {"rows": f"{_ROWS} / ({_total('micro_batch_rows_count')} > 0)"},
        {},
    ),
    (
        "Padding",
        "Share of the executed rows that only fill a bucket.",
        {"padding": f"{_PADDING} / ({_PADDING} + {_ROWS} > 0)"},
        {"unit": "percentunit", "usual_maximum": 0.5},
    ),
    (
        "Micro-batches by bucket",
        "Executions per second of each bucket.",
        _by("bucket", "execution_seconds_count", "{{bucket}} rows"),
        {"unit": "ops", "is_stacked": True},
    ),
    (
        "Device busy",
        "Share of the time in which the device executes; self-checks are not counted.",
        _by("instance", "execution_seconds_sum"),
        {"unit": "percentunit", "usual_maximum": 1},
    ),
)
_REFUSALS: tuple[Row, ...] = (
    (
        "Shed by reason",
        f"Requests answered without execution. The objective is at most {SHED_BUDGET * 100:g} % of all.",
        _by("reason", "shed_total"),
        {"unit": "reqps", "usual_maximum": 1, "is_stacked": True},
    ),
    (
        "Rows waiting",
        "Rows in the queue of each replica.",
        {"{{instance}}": f"sum by (instance) (batchproof_queue_rows{{{_MODEL}}})"},
        {"usual_maximum": 10},
    ),
    (
        "Self-checks",
        "Served answers executed again beside other rows. One that is different is a fault.",
        _by("result", "selfcheck_total"),
        {"unit": "ops", "overrides": colored(_RESULT_COLORS)},
    ),
)
_PRIORITY_COLORS = {"critical": "red", "default": "green", "best_effort": "blue"}
_REFUSED = 'code=~"RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED"'
_PRIORITIES: tuple[Row, ...] = (
    (
        "Requests by priority",
        "Of callers with names; empty where everybody may call.",
        _by("priority", "priority_requests_total"),
        {"unit": "reqps", "is_stacked": True, "overrides": colored(_PRIORITY_COLORS)},
    ),
    (
        "Wait in the queue: 95th percentiles",
        "Of the requests that were answered.",
        {
            "{{priority}}": "histogram_quantile(0.95, sum by (priority, le) "
            f"({_rate('priority_queue_delay_seconds_bucket')}))"
        },
        {"unit": "s", "overrides": colored(_PRIORITY_COLORS)},
    ),
    (
        "Refused or late",
        "Share of the requests of each priority. What is less urgent is refused first.",
        {
            "{{priority}}": f"sum by (priority) ({_rate('priority_requests_total', _REFUSED)}) / "
            f"(sum by (priority) ({_rate('priority_requests_total')}) > 0)"
        },
        {"unit": "percentunit", "usual_maximum": 0.05, "overrides": colored(_PRIORITY_COLORS)},
    ),
)
_SHADOW_COLORS = {"same": "green", "different": "orange", "skipped": "text"}
_EXECUTED = 'result=~"same|different"'


def _per(numerator: str, denominator: str) -> str:
    return f"{numerator} / ({denominator} > 0)"


_COMPARED: tuple[Row, ...] = (
    (
        "Requests by version",
        "Who answers the callers of labels that versions share, and all others.",
        _by("version", "requests_total"),
        {"unit": "reqps", "is_stacked": True, "minimum": 0},
    ),
    (
        "Rows of the shadow",
        "Answered rows that were selected for a version that answers nobody.",
        _by("result", "shadow_rows_total"),
        {"unit": "ops", "is_stacked": True, "minimum": 0, "overrides": colored(_SHADOW_COLORS)},
    ),
    (
        "Shadow and answer disagree",
        "Share of the compared rows with another class, and how far the probabilities are apart.",
        {
            "another class": _per(
                _total("shadow_rows_total", 'result="different"'),
                _total("shadow_rows_total", _EXECUTED),
            ),
            "distance": _per(
                _total("shadow_distance_total"), _total("shadow_rows_total", _EXECUTED)
            ),
        },
        {"unit": "percentunit", "usual_maximum": 0.05, "minimum": 0},
    ),
    (
        "Execution of one row",
        "On average, of rows that both versions executed in the smallest bucket.",
        {
            "{{by}}": f"sum by (by) ({_rate('shadow_execution_seconds_total')})"
            f" / on () group_left () ({_total('shadow_timed_rows_total')} > 0)"
        },
        {"unit": "s", "minimum": 0},
    ),
    (
        "Drift of the shadow",
        "What it answered in the last hour beside its own reference: PSI above its noise. The lines are where it drifts, and where it drifts severely.",
        {
            "{{signal}}": f"max by (signal) (model_signal:psi_above_noise:1h{{{_MODEL}}}"
            " and on (model, version) batchproof_shadow_timed_rows_total)"
        },
        {"limits": PSI_LINES, "has_limit_lines": True},
    ),
)
_LOST_COLORS = {
    "exported": "green",
    "kept": "green",
    "queue_full": "orange",
    "failed": "red",
    "rate": "text",
    "redacted": "blue",
}
_KEPT: tuple[Row, ...] = (
    (
        "Spans of traces",
        "Exported, or lost because too many waited or the collector did not take them.",
        {"{{result}}": f"sum by (result) (rate(batchproof_trace_spans_total{_RATE}))"},
        {"unit": "ops", "is_stacked": True, "overrides": colored(_LOST_COLORS)},
    ),
    (
        "Captured rows",
        "Kept, or dropped: too many in a minute, by the redaction hook, not written, not looked at.",
        {"{{result}}": f"sum by (result) (rate(batchproof_captured_rows_total{_RATE}))"},
        {"unit": "ops", "is_stacked": True, "overrides": colored(_LOST_COLORS)},
    ),
)
_PROCESS: tuple[Row, ...] = (
    (
        "Memory",
        "Resident memory of each replica.",
        {"{{instance}}": f"process_resident_memory_bytes {_OURS}"},
        {"unit": "bytes"},
    ),
    (
        "Processor",
        "Cores in use.",
        {"{{instance}}": f"rate(process_cpu_seconds_total{_RATE}) {_OURS}"},
        {},
    ),
)
