"""Writes the Prometheus rules and the Grafana dashboards; ``deploy/generate.py`` runs it."""
