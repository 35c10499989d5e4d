"""What `serve` does with a model that nobody has packed yet."""

from pathlib import Path

from batchproof_server.base.files import PrivateDirectory
from batchproof_server.models.discovery import Place
from batchproof_server.models.manifest import MANIFEST_NAME
from batchproof_server.offline.inspection.inspecting import find_artefact
from batchproof_server.offline.packing.files import bring_artefact


def served_path(path: Path, scratch: PrivateDirectory) -> Path:
    """What is served where a path was named: the path, or a bundle of the file at it.

    Args:
        path: of a bundle, a repository, or a model file. One that lies in its bundle is that.
        scratch: for the bundle of a file.

    Raises:
        ModelRefused: the file is no model that is served, or cannot be read.
    """
    if not path.is_file():
        return path
    kind, artefact = find_artefact(path.resolve())
    if artefact.name == kind.file and (artefact.parent / MANIFEST_NAME).exists():
        return artefact.parent
    bundle = Path(scratch.path()) / artefact.stem / "1"
    bundle.mkdir(parents=True)
    bring_artefact(kind, artefact, bundle)
    return bundle


def what_pack_would_add(path: Path, places: tuple[Place, ...]) -> str:
    """Of a single model without a manifest what it lacks; else empty.

    Args:
        path: as it was named.
        places: of what is served.
    """
    if len(places) != 1 or (places[0].directory / MANIFEST_NAME).exists():
        return ""
    return (
        f"{path} has no {MANIFEST_NAME}: it is proven, and served for tensors. "
        f"`batchproof-server pack {path} --data LABELLED` makes a bundle that also takes pictures, "
        "names classes, and has a reference for drift"
    )
