"""The rules as resources of the Prometheus operator."""

from collections.abc import Mapping
from textwrap import indent

_RESOURCE = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: batchproof
spec:
"""


def prometheus_rules(heading: str, files: Mapping[str, str]) -> str:
    """The YAML of one PrometheusRule for each rule file.

    Args:
        heading: its comment.
        files: the name of the resource -> the text of the rule file.
    """
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    return comment + "---\n".join(
        _RESOURCE.format(name=name) + indent(_without_comments(text), "  ")
        for name, text in files.items()
    )


def _without_comments(text: str) -> str:
    """From ``groups:`` on; what stands above it is about the file."""
    return text[text.index("groups:\n") :]
