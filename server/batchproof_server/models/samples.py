"""The reference pictures that a bundle may bring along, as rows for the proof."""

from pathlib import Path

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.files import read_start
from batchproof_server.base.signature import Array
from batchproof_server.base.spread import spread
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.probing.rows import MAX_SAMPLES
from batchproof_server.proof.probing.rules import probe_finding

SAMPLES_NAME = "samples"


def read_samples(
    bundle: Path, recipe: Recipe
) -> tuple[tuple[tuple[str, Array], ...], tuple[Finding, ...]]:
    """A few of the files in ``samples/``, spread evenly over their sorted names.

    Returns:
        The rows with the names of their files, and a finding for each file that the recipe refuses.
    """
    folder = bundle / SAMPLES_NAME
    files = (
        sorted(path for path in folder.iterdir() if _is_picture(path)) if folder.is_dir() else []
    )
    rows: list[tuple[str, Array]] = []
    findings: list[Finding] = []
    for file in spread(files, MAX_SAMPLES):
        try:
            content = read_start(file, recipe.limits.max_image_bytes)  # more, the recipe refuses
            rows.append((file.name, recipe.apply(content)))
        except (InvalidInput, OSError) as refused:
            reason = refused.strerror if isinstance(refused, OSError) else str(refused)
            findings.append(
                probe_finding("BP509", f"samples/{file.name}", reason or "it cannot be read")
            )
    return tuple(rows), tuple(findings)


def _is_picture(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")
