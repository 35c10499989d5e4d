"""Writes again what is made of Python: rules, dashboards and two JSON schemas."""

from collections.abc import Mapping
from pathlib import Path

from document_schemas import schema_files
from monitoring.files import generated_files

_DEPLOY = Path(__file__).resolve().parent


def main() -> None:
    """Writes every generated file."""
    _write(_DEPLOY, generated_files())
    _write(_DEPLOY.parent / "docs" / "schemas", schema_files())


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
