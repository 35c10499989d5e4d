"""Who is told of events: metrics, logs, statistics."""
