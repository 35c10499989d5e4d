"""The dashboard of serving: traffic, latency, micro-batches, shedding, the self-check."""

from monitoring.dashboard import Dashboard, Section, Variable
from monitoring.panels import Row, colored, lines, panels, stat
from monitoring.serving_queries import MODEL, RATE, by_label, quantile, total
from monitoring.serving_rows import COMPARED, KEPT, PRIORITIES
from monitoring.serving_rules import ASKED
from monitoring.thresholds import SHED_BUDGET, SLOW_BUDGET, SLOW_S

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
            Section("Priorities", panels(lines, PRIORITIES, minimum=0)),
            Section("Canary and shadow", panels(lines, COMPARED, width=8)),
            Section("Traces and capture", panels(lines, KEPT, minimum=0, width=12)),
            Section("Process", panels(lines, _PROCESS, minimum=0, width=12)),
        ),
    )


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
_ROWS = total("micro_batch_rows_sum")
_PADDING = total("padding_rows_total")
_OURS = "and on (job, instance) batchproof_build_info"

_NOW: tuple[Row, ...] = (
    ("Requests", "Requests answered.", {"": total("requests_total")}, {"unit": "reqps"}),
    (
        "Failed",
        "Share of the requests that the server failed or refused.",
        {"": f"{total('requests_total', _FAILED)} / ({total('requests_total')} > 0)"},
        {
            "unit": "percentunit",
            "decimals": 2,
            "limits": ((None, "green"), (0.001, "orange"), (0.01, "red")),
        },
    ),
    (
        "99th percentile",
        "Of what callers wait for a single request.",
        {"": quantile(0.99, "request_duration_seconds", ASKED)},
        {"unit": "s", "limits": ((None, "green"), (SLOW_S, "red"))},
    ),
    (
        "Rows waiting",
        "Rows in the queues now.",
        {"": f"sum(batchproof_queue_rows{{{MODEL}}})"},
        {},
    ),
    (
        "Versions ready",
        "Versions that answer now, over all replicas.",
        {"": f"sum(batchproof_model_ready{{{MODEL}}})"},
        {"limits": ((None, "red"), (1, "green"))},
    ),
    (
        "Versions failed",
        "Versions that could not be loaded, over all replicas; others may answer in their place.",
        {"": f"sum(batchproof_model_failed{{{MODEL}}})"},
        {"decimals": 0, "limits": ((None, "green"), (1, "red"))},
    ),
    (
        "Answers found wrong",
        "By the self-check, in the last 24 hours. Anything but 0 is a fault of the proof.",
        {"": f'sum(increase(batchproof_selfcheck_total{{{MODEL}, result="different"}}[24h]))'},
        {"decimals": 0, "limits": ((None, "green"), (1, "red"))},
    ),
)
_TRAFFIC: tuple[Row, ...] = (
    (
        "Requests by code",
        "The gRPC code of each answer.",
        by_label("code", "requests_total"),
        {"unit": "reqps", "is_stacked": True, "overrides": colored(_CODE_COLORS)},
    ),
    (
        "Requests by method",
        "Each request of a stream counts once.",
        by_label("method", "requests_total"),
        {"unit": "reqps", "is_stacked": True},
    ),
)
_LATENCY: tuple[Row, ...] = (
    (
        "What callers wait",
        f"Single requests, refusals included. The dashed line is the objective: {SLOW_S * 1000:g} ms.",
        {
            name: quantile(q, "request_duration_seconds", ASKED)
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
            f"last {window}": f"max(model:slow_requests:ratio_rate{window}{{{MODEL}}})"
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
            "queue delay": quantile(0.95, "queue_delay_seconds"),
            "execution": quantile(0.95, "execution_seconds"),
        },
        {"unit": "s"},
    ),
    (
        "Decoding: 95th percentile",
        "From an encoded image to an input row. All models together.",
        {
            "{{format}}": f"histogram_quantile(0.95, sum by (format, le) (rate(batchproof_decode_seconds_bucket{RATE})))"
        },
        {"unit": "s"},
    ),
)
_MICRO_BATCHES: tuple[Row, ...] = (
    (
        "Rows in a micro-batch",
        "On average, before padding.",
        {"rows": f"{_ROWS} / ({total('micro_batch_rows_count')} > 0)"},
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
        by_label("bucket", "execution_seconds_count", "{{bucket}} rows"),
        {"unit": "ops", "is_stacked": True},
    ),
    (
        "Device busy",
        "Share of the time in which the device executes; self-checks are not counted.",
        by_label("instance", "execution_seconds_sum"),
        {"unit": "percentunit", "usual_maximum": 1},
    ),
)
_REFUSALS: tuple[Row, ...] = (
    (
        "Shed by reason",
        f"Requests answered without execution. The objective is at most {SHED_BUDGET * 100:g} % of all.",
        by_label("reason", "shed_total"),
        {"unit": "reqps", "usual_maximum": 1, "is_stacked": True},
    ),
    (
        "Rows waiting",
        "Rows in the queue of each replica.",
        {"{{instance}}": f"sum by (instance) (batchproof_queue_rows{{{MODEL}}})"},
        {"usual_maximum": 10},
    ),
    (
        "Self-checks",
        "Served answers executed again beside other rows. One that is different is a fault.",
        by_label("result", "selfcheck_total"),
        {"unit": "ops", "overrides": colored(_RESULT_COLORS)},
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
        {"{{instance}}": f"rate(process_cpu_seconds_total{RATE}) {_OURS}"},
        {},
    ),
)
