"""What deploy/generate.py writes is what is committed."""

from document_schemas import schema_files
from monitoring.files import generated_files
from repo.checkout import ROOT, tracked_files

DEPLOY = ROOT / "deploy"
SCHEMAS = ROOT / "docs" / "schemas"


def test_the_committed_rules_and_dashboards_are_the_generated_ones() -> None:
    stale = [
        name for name, text in generated_files().items() if (DEPLOY / name).read_text() != text
    ]

    assert stale == []


def test_the_committed_schemas_are_those_of_the_dataclasses() -> None:
    stale = [name for name, text in schema_files().items() if (SCHEMAS / name).read_text() != text]

    assert stale == []


def test_the_schemas_describe_every_document_in_plain_text() -> None:
    text = "".join(schema_files().values())

    assert "Attributes:" not in text
    assert "``" not in text
    assert "SHA-256 of the artefact." in text


def test_no_generated_file_is_left_over() -> None:
    generated = set(generated_files())
    marked = {
        str(path.relative_to(DEPLOY))
        for path in tracked_files()
        if path.is_relative_to(DEPLOY)
        and path.parent.name not in {"drawing", "types"}  # npm's
        and (
            path.suffix == ".json" or path.read_text().startswith("# Written by deploy/generate.py")
        )
    }

    assert marked == generated
