"""docs/proof.md names every rule of the probes."""

from pathlib import Path

from batchproof_server.proof.probing.rules import PROBE_RULES

PAGE = Path(__file__).resolve().parents[3] / "docs/proof.md"


def test_the_page_lists_every_rule_of_the_probes_as_it_is() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line.startswith("| BP5")]
    assert listed == [
        f"| {rule.rule_id} | {rule.severity} | {rule.title} | {rule.why} |"
        for rule in PROBE_RULES.values()
    ]
