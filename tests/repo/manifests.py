"""The manifests of deploy/kubernetes, put together by kubectl and held against real schemas."""

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

import kubernetes_validate
import yaml
from pydantic import ValidationError

from repo.checkout import BIN, ROOT, run

Manifest: TypeAlias = dict[str, Any]

KUBERNETES = ROOT / "deploy" / "kubernetes"
# The oldest where all that the manifests use has left its beta, the volume of an image aside.
OLDEST = "1.31"
NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])

_OPERATOR = ("PrometheusRule", "ServiceMonitor")
# Of serving.kserve.io/v1alpha1, what a ServingRuntime has beside the fields of a pod.
_RUNTIME_FIELDS = {
    "annotations",
    "builtInAdapter",
    "disabled",
    "grpcDataEndpoint",
    "grpcEndpoint",
    "httpDataEndpoint",
    "labels",
    "multiModel",
    "protocolVersions",
    "replicas",
    "storageHelper",
    "supportedModelFormats",
    "workerSpec",
}


@cache
def _operator_model(kind: str) -> Any:
    # Seconds of every worker, if it were imported with this module.
    from cloudcoil.models.prometheus_operator import v1  # noqa: PLC0415

    return getattr(v1, kind)


def rendered(overlay: str) -> list[Manifest]:
    """The manifests of an overlay, as ``kubectl apply -k`` would send them."""
    text = run([BIN / "kubectl", "kustomize", KUBERNETES / "overlays" / overlay]).stdout
    return list(yaml.safe_load_all(text))


def read(path: str) -> Manifest:
    """The one document of a file below deploy/kubernetes."""
    manifest: Manifest = yaml.safe_load((KUBERNETES / path).read_text())
    return manifest


def the(manifests: list[Manifest], kind: str, name: str = "batchproof") -> Manifest:
    """The only manifest of a kind whose name begins with ``name``."""
    (found,) = (
        each
        for each in manifests
        if each["kind"] == kind and each["metadata"]["name"].startswith(name)
    )
    return found


def faults(manifest: Manifest, version: str = NEWEST) -> Iterator[str]:
    """What the schema of a manifest's kind has against it; unknown fields are faults."""
    kind = manifest["kind"]
    try:
        if kind in _OPERATOR:
            _operator_model(kind).model_validate(manifest, extra="forbid")
        elif kind == "ServingRuntime":
            yield from _runtime_faults(manifest, version)
        else:
            kubernetes_validate.validate(manifest, version, strict=True)
    except (kubernetes_validate.ValidationError, ValidationError) as refused:
        yield f"{kind} {manifest['metadata']['name']}: {refused}"


def _runtime_faults(runtime: Manifest, version: str) -> Iterator[str]:
    spec = runtime["spec"]
    pod = {key: value for key, value in spec.items() if key not in _RUNTIME_FIELDS}
    if not spec.get("supportedModelFormats"):
        yield "a ServingRuntime that takes no format"
    yield from faults(
        {"apiVersion": "v1", "kind": "Pod", "metadata": runtime["metadata"], "spec": pod}, version
    )
