"""Writes the Prometheus rules and the Grafana dashboards again: python deploy/generate.py [DIR]."""

import sys
from pathlib import Path

from monitoring.files import generated_files


def main(folder: Path) -> None:
    """Writes every generated file below ``folder``."""
    for name, text in generated_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
