"""Rows of the dashboard of serving: priorities, canary and shadow, traces and captured rows."""

from monitoring.drift_choices import PSI_LINES
from monitoring.panels import Row, colored
from monitoring.serving_queries import MODEL, RATE, by_label, per, rate, total

_PRIORITY_COLORS = {"critical": "red", "default": "green", "best_effort": "blue"}
_REFUSED = 'code=~"RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED"'
PRIORITIES: tuple[Row, ...] = (
    (
        "Requests by priority",
        "Of callers with names; empty where everybody may call.",
        by_label("priority", "priority_requests_total"),
        {"unit": "reqps", "is_stacked": True, "overrides": colored(_PRIORITY_COLORS)},
    ),
    (
        "Wait in the queue: 95th percentiles",
        "Of the requests that were answered.",
        {
            "{{priority}}": "histogram_quantile(0.95, sum by (priority, le) "
            f"({rate('priority_queue_delay_seconds_bucket')}))"
        },
        {"unit": "s", "overrides": colored(_PRIORITY_COLORS)},
    ),
    (
        "Refused or late",
        "Share of the requests of each priority. What is less urgent is refused first.",
        {
            "{{priority}}": f"sum by (priority) ({rate('priority_requests_total', _REFUSED)}) / "
            f"(sum by (priority) ({rate('priority_requests_total')}) > 0)"
        },
        {"unit": "percentunit", "usual_maximum": 0.05, "overrides": colored(_PRIORITY_COLORS)},
    ),
)
_SHADOW_COLORS = {"same": "green", "different": "orange", "skipped": "text"}
_EXECUTED = 'result=~"same|different"'


COMPARED: tuple[Row, ...] = (
    (
        "Requests by version",
        "Who answers the callers of labels that versions share, and all others.",
        by_label("version", "requests_total"),
        {"unit": "reqps", "is_stacked": True, "minimum": 0},
    ),
    (
        "Rows of the shadow",
        "Answered rows that were selected for a version that answers nobody.",
        by_label("result", "shadow_rows_total"),
        {"unit": "ops", "is_stacked": True, "minimum": 0, "overrides": colored(_SHADOW_COLORS)},
    ),
    (
        "Shadow and answer disagree",
        "Share of the compared rows with another class, and how far the probabilities are apart.",
        {
            "another class": per(
                total("shadow_rows_total", 'result="different"'),
                total("shadow_rows_total", _EXECUTED),
            ),
            "distance": per(total("shadow_distance_total"), total("shadow_rows_total", _EXECUTED)),
        },
        {"unit": "percentunit", "usual_maximum": 0.05, "minimum": 0},
    ),
    (
        "Execution of one row",
        "On average, of rows that both versions executed in the smallest bucket.",
        {
            "{{by}}": f"sum by (by) ({rate('shadow_execution_seconds_total')})"
            f" / on () group_left () ({total('shadow_timed_rows_total')} > 0)"
        },
        {"unit": "s", "minimum": 0},
    ),
    (
        "Drift of the shadow",
        "What it answered in the last hour beside its own reference: PSI above its noise. The lines are where it drifts, and where it drifts severely.",
        {
            "{{signal}}": f"max by (signal) (model_signal:psi_above_noise:1h{{{MODEL}}}"
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
KEPT: tuple[Row, ...] = (
    (
        "Spans of traces",
        "Exported, or lost because too many waited or the collector did not take them.",
        {"{{result}}": f"sum by (result) (rate(batchproof_trace_spans_total{RATE}))"},
        {"unit": "ops", "is_stacked": True, "overrides": colored(_LOST_COLORS)},
    ),
    (
        "Captured rows",
        "Kept, or dropped: too many in a minute, by the redaction hook, not written, not looked at.",
        {"{{result}}": f"sum by (result) (rate(batchproof_captured_rows_total{RATE}))"},
        {"unit": "ops", "is_stacked": True, "overrides": colored(_LOST_COLORS)},
    ),
)
