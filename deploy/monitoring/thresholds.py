"""The figures that decide; docs/drift-rules.md says where they come from."""

# Of the line beside the Kolmogorov-Smirnov distance: 1 %.
KS_FACTOR = 1.628
# Drift is alerted on when a version has been watched for this share of the window.
ALERT_WINDOW_SHARE = 0.25
WINDOW_SECONDS = {"5m": 300, "1h": 3600, "24h": 86400}

ALERT_ACCURACY_LOSS = 0.05
ALERT_ACCURACY_Z = 3.09

# Service level objectives: of 100 requests 99 are answered within 250 ms; of 1,000 one is shed.
SLOW_S = 0.25
SLOW_BUDGET = 0.01
SHED_BUDGET = 0.001
# At these multiples a month's budget is spent in two days, or in five.
BURN_FAST = 14.4
BURN_SLOW = 6
SLO_REQUESTS = 100
