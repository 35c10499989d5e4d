"""The dashboard of serving: traffic, latency, micro-batches, shedding, the self-check."""

from monitoring.dashboard import Dashboard, Section, Variable
from monitoring.panels import Panel, Query, colored, lines, stat
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
            Section("Now", _now()),
            Section("Traffic", _traffic()),
            Section("Latency", _latency()),
            Section("Micro-batches", _micro_batches()),
            Section("Refusals and proofs", _refusals()),
            Section("Process", _process()),
        ),
    )


def _rate(metric: str, *matchers: str) -> str:
    return f"rate(batchproof_{metric}{{{', '.join((_MODEL, *matchers))}}}{_RATE})"


def _quantile(q: float, metric: str, *matchers: str) -> str:
    return f"histogram_quantile({q}, sum by (le) ({_rate(metric + '_bucket', *matchers)}))"


def _now() -> tuple[Panel, ...]:
    requests = f"sum({_rate('requests_total')})"
    failed = f"sum({_rate('requests_total', _FAILED)})"
    good_or_not = ((None, "green"), (1, "red"))
    return (
        stat("Requests", "Requests answered.", Query(requests), unit="reqps", width=4),
        stat(
            "Failed",
            "Share of the requests that the server failed or refused.",
            Query(f"{failed} / ({requests} > 0)"),
            unit="percentunit",
            decimals=2,
            limits=((None, "green"), (0.001, "orange"), (0.01, "red")),
            width=4,
        ),
        stat(
            "99th percentile",
            "Of what callers wait for a single request.",
            Query(_quantile(0.99, "request_duration_seconds", ASKED)),
            unit="s",
            limits=((None, "green"), (SLOW_S, "red")),
            width=4,
        ),
        stat(
            "Rows waiting",
            "Rows in the queues now.",
            Query(f"sum(batchproof_queue_rows{{{_MODEL}}})"),
            width=4,
        ),
        stat(
            "Versions ready",
            "Versions that answer now, over all replicas.",
            Query(f"sum(batchproof_model_ready{{{_MODEL}}})"),
            limits=((None, "red"), (1, "green")),
            width=4,
        ),
        stat(
            "Answers found wrong",
            "By the self-check, in the last 24 hours. Anything but 0 is a fault of the proof.",
            Query(
                f'sum(increase(batchproof_selfcheck_total{{{_MODEL}, result="different"}}[24h]))'
            ),
            decimals=0,
            limits=good_or_not,
            width=4,
        ),
    )


def _traffic() -> tuple[Panel, ...]:
    return (
        lines(
            "Requests by code",
            "The gRPC code of each answer.",
            [Query(f"sum by (code) ({_rate('requests_total')})", "{{code}}")],
            overrides=colored(_CODE_COLORS),
            unit="reqps",
            minimum=0,
            is_stacked=True,
            width=12,
        ),
        lines(
            "Requests by method",
            "Each request of a stream counts once.",
            [Query(f"sum by (method) ({_rate('requests_total')})", "{{method}}")],
            unit="reqps",
            minimum=0,
            is_stacked=True,
            width=12,
        ),
    )


def _latency() -> tuple[Panel, ...]:
    return (
        lines(
            "What callers wait",
            f"Single requests, refusals included. The dashed line is the objective: {SLOW_S * 1000:g} ms.",
            [
                Query(_quantile(q, "request_duration_seconds", ASKED), name)
                for q, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
            ],
            unit="s",
            minimum=0,
            limits=((None, "transparent"), (SLOW_S, "red")),
            has_limit_lines=True,
            width=12,
        ),
        lines(
            "Slow requests",
            f"Share above {SLOW_S * 1000:g} ms. More than {SLOW_BUDGET * 100:g} % spends the budget faster than it grows.",
            [
                Query(f"max(model:slow_requests:ratio_rate{window}{{{_MODEL}}})", f"last {window}")
                for window in ("5m", "1h")
            ],
            unit="percentunit",
            minimum=0,
            usual_maximum=2 * SLOW_BUDGET,
            limits=((None, "transparent"), (SLOW_BUDGET, "red")),
            has_limit_lines=True,
            width=12,
        ),
        lines(
            "Where the time goes: 95th percentiles",
            "Waiting for a micro-batch, on the device.",
            [
                Query(_quantile(0.95, "queue_delay_seconds"), "queue delay"),
                Query(_quantile(0.95, "execution_seconds"), "execution"),
            ],
            unit="s",
            minimum=0,
            width=12,
        ),
        lines(
            "Decoding: 95th percentile",
            "From an encoded image to an input row. All models together.",
            [
                Query(
                    f"histogram_quantile(0.95, sum by (format, le) (rate(batchproof_decode_seconds_bucket{_RATE})))",
                    "{{format}}",
                )
            ],
            unit="s",
            minimum=0,
            width=12,
        ),
    )


def _micro_batches() -> tuple[Panel, ...]:
    rows, count = f"sum({_rate('micro_batch_rows_sum')})", f"sum({_rate('micro_batch_rows_count')})"
    padding = f"sum({_rate('padding_rows_total')})"
    return (
        lines(
            "Rows in a micro-batch",
            "On average, before padding.",
            [Query(f"{rows} / ({count} > 0)", "rows")],
            minimum=0,
            width=6,
        ),
        lines(
            "Padding",
            "Share of the executed rows that only fill a bucket.",
            [Query(f"{padding} / ({padding} + {rows} > 0)", "padding")],
            unit="percentunit",
            minimum=0,
            usual_maximum=0.5,
            width=6,
        ),
        lines(
            "Micro-batches by bucket",
            "Executions per second of each bucket.",
            [Query(f"sum by (bucket) ({_rate('execution_seconds_count')})", "{{bucket}} rows")],
            unit="ops",
            minimum=0,
            is_stacked=True,
            width=6,
        ),
        lines(
            "Device busy",
            "Share of the time in which the device executes; self-checks are not counted.",
            [Query(f"sum by (instance) ({_rate('execution_seconds_sum')})", "{{instance}}")],
            unit="percentunit",
            minimum=0,
            usual_maximum=1,
            width=6,
        ),
    )


def _refusals() -> tuple[Panel, ...]:
    return (
        lines(
            "Shed by reason",
            f"Requests answered without execution. The objective is at most {SHED_BUDGET * 100:g} % of all.",
            [Query(f"sum by (reason) ({_rate('shed_total')})", "{{reason}}")],
            unit="reqps",
            minimum=0,
            usual_maximum=1,
            is_stacked=True,
        ),
        lines(
            "Rows waiting",
            "Rows in the queue of each replica.",
            [Query(f"sum by (instance) (batchproof_queue_rows{{{_MODEL}}})", "{{instance}}")],
            minimum=0,
            usual_maximum=10,
        ),
        lines(
            "Self-checks",
            "Served answers executed again in other company. One that is different is a fault.",
            [Query(f"sum by (result) ({_rate('selfcheck_total')})", "{{result}}")],
            unit="ops",
            minimum=0,
            overrides=colored(_RESULT_COLORS),
        ),
    )


def _process() -> tuple[Panel, ...]:
    ours = "and on (job, instance) batchproof_build_info"
    return (
        lines(
            "Memory",
            "Resident memory of each replica.",
            [Query(f"process_resident_memory_bytes {ours}", "{{instance}}")],
            unit="bytes",
            minimum=0,
            width=12,
        ),
        lines(
            "Processor",
            "Cores in use.",
            [Query(f"rate(process_cpu_seconds_total{_RATE}) {ours}", "{{instance}}")],
            minimum=0,
            width=12,
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
