"""Groups of Prometheus rules, and the YAML that they are written as."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import dedent, indent


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule; ``labels`` are added to each of its series."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule; ``hold`` is how long its expression must hold, in Prometheus' notation."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    hold: str = "0s"
    labels: Mapping[str, str] = field(default_factory=dict)


Rule = Record | Alert


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, so that a later one may use an earlier one."""

    name: str
    rules: tuple[Rule, ...]


def rule_file(heading: str, groups: Iterable[Group]) -> str:
    """The YAML of a rule file, with ``heading`` as its comment."""
    lines = [*(f"# {line}" for line in heading.splitlines()), "groups:"]
    for group in groups:
        lines += [f"  - name: {group.name}", "    rules:"]
        for rule in group.rules:
            lines += indent("\n".join(_rule(rule)), " " * 6).splitlines()
    return "\n".join(lines) + "\n"


def _rule(rule: Rule) -> Iterator[str]:
    kind = "record" if isinstance(rule, Record) else "alert"
    yield f"- {kind}: {rule.name}"
    yield "  expr: |-"
    yield indent(dedent(rule.expression).strip(), "    ")
    if isinstance(rule, Record):
        yield from _mapping("labels", rule.labels)
    else:
        yield f"  for: {rule.hold}"
        yield from _mapping("labels", {"severity": rule.severity, **rule.labels})
        yield from _mapping(
            "annotations", {"summary": rule.summary, "description": rule.description}
        )


def _mapping(name: str, entries: Mapping[str, str]) -> Iterator[str]:
    if entries:
        yield f"  {name}:"
    for key, text in entries.items():
        quoted = " ".join(text.split()).replace("'", "''")
        yield f"    {key}: '{quoted}'"
