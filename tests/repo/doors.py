"""The doors: which modules may know an outside package, found by walking the syntax trees."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from repo.checkout import ROOT

OURS = frozenset({"batchproof", "batchproof_server", "batchproof_client"})


@dataclass(frozen=True)
class Use:
    """One place where a module reaches for an outside package.

    Attributes:
        module: dotted name of the module.
        target: dotted name of what it imports, or of what it reads off an imported module.
        line: 1-based line.
    """

    module: str
    target: str
    line: int


# An outside package (or a part of one) -> the modules and packages that may use it.
DOORS: Mapping[str, tuple[str, ...]] = {
    "grpc": (
        "batchproof.v1",
        "batchproof_server.rpc.fronts",
        "batchproof_server.commands.ctl.command",
        "batchproof_server.observing.traces.outlet",  # the certificates that it sends spans with
        "batchproof_client",
    ),
    "fsspec": ("batchproof_server.observing.capture.object_files",),
    "opentelemetry.exporter.otlp.proto.grpc": ("batchproof_server.observing.traces.outlet",),
    "opentelemetry.sdk": ("batchproof_server.observing.traces",),
    "opentelemetry.trace": ("batchproof_server.observing.traces",),
    "grpc_health": ("batchproof_server.rpc.fronts", "batchproof_client"),
    "grpc_reflection": ("batchproof_server.rpc.fronts",),
    "google.protobuf": (
        "batchproof",
        "batchproof_server.rpc",
        "batchproof_server.web.rest.plain",
        "batchproof_server.proof.graph",
        "batchproof_client",
    ),
    "numpy": ("batchproof", "batchproof_server", "batchproof_client"),
    "tensorflow": (
        "batchproof_server.backends.keras",
        "batchproof_server.backends.openvino.converting",
        "batchproof_server.backends.saved_model",
        "batchproof_server.backends.tensorflow",
        "batchproof_server.backends.traced",
        "batchproof_server.imaging.tensorflow_flavour",
        "batchproof_server.proof.graph",
    ),
    "keras": (
        "batchproof.keras",
        "batchproof_server.backends.keras",
        "batchproof_server.proof.keras.model",
        "batchproof_server.proof.keras.repair",
    ),
    # Whoever imports it elsewhere imports its telemetry too.
    "openvino": ("batchproof_server.backends.openvino.runtime",),
    "h5py": ("batchproof_server.proof.artefact.hdf5_claims",),
    "PIL": (
        "batchproof_server.imaging",
        "batchproof_server.tta.original",
        "batchproof_server.tta.pixels",
        "batchproof_server.tta.rotation",
        "batchproof_client.loadtest.corruption",
        "batchproof_client.loadtest.pictures",
    ),
    "numba": ("batchproof_server.imaging.compiling",),
    "simplejpeg": ("batchproof_server.imaging.turbo_flavour",),
    "hdrh": ("batchproof_client.loadtest.histogram",),
    "prometheus_client": ("batchproof_server.observing.prometheus",),
    "jinja2": ("batchproof_server.web.site.templates",),
    "markupsafe": ("batchproof_server.web.site.templates",),
    "httptools": ("batchproof_server.web.rest.parsing",),
    "orjson": ("batchproof_server.web.rest.json_text",),
    "structlog": ("batchproof_server.observing.logs",),
    "pydantic": ("batchproof_server.base.validation",),
    # A dataclass of settings refuses unknown keys by carrying a ConfigDict.
    "pydantic.ConfigDict": ("batchproof_server",),
    "pydantic_core": ("batchproof_server.base.validation",),
    "cryptography": (
        "batchproof_server.observing.prometheus.certificate_ends",
        "batchproof_server.proof.certificate.ed25519",
    ),
    "matplotlib": (
        "batchproof_server.offline.evaluation.augmentation.plots",
        "batchproof_server.offline.evaluation.plots",
    ),
    "shtab": ("batchproof.command_line",),
    "rich": ("batchproof_client", "batchproof_server.commands.bars"),
    "os.environ": (
        "batchproof_server.application.config",
        "batchproof_server.observing.engine_lines",  # TensorFlow's own setting, for its own lines
        "batchproof_server.rpc.fronts.polling",  # gRPC's own, before it is imported
        "batchproof_client.connection",
        "batchproof.keras",  # packs without the GPU, whose memory the training holds
    ),
    "os.getenv": ("batchproof_server.application.config",),
    "time": ("batchproof_server.base.clock", "batchproof_client"),
}

# A distribution whose package has another name than its own with underscores.
_PACKAGE_OF: Mapping[str, str] = {
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
    "hdrhistogram": "hdrh",
    "opentelemetry-api": "opentelemetry.trace",
    "opentelemetry-exporter-otlp-proto-grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "pillow": "PIL",
    "protobuf": "google.protobuf",
    "tensorflow-cpu": "tensorflow",
}
# A distribution that is needed although no module imports it -> why, such as a plug-in that
# another one finds by itself.
NEEDED_WITHOUT_IMPORT: Mapping[str, str] = {}

# Modules that only compute: they wait for nothing, start nothing and open nothing.
PURE = (
    "batchproof_server.tta.combining",
    "batchproof_server.batching.microbatch",
    "batchproof_server.diagnosis",
    "batchproof_server.drift",
    "batchproof_server.base.errors",
    "batchproof_server.offline.evaluation.augmentation.early_exit",
    "batchproof_server.offline.evaluation.augmentation.figures",
    "batchproof_server.offline.evaluation.augmentation.mixture",
    "batchproof_server.offline.evaluation.augmentation.paired",
    "batchproof_server.offline.evaluation.augmentation.verdict",
    "batchproof_server.offline.evaluation.measures",
    "batchproof_server.imaging",
    "batchproof_server.outcomes",
    "batchproof_server.proof.artefact.rules",
    "batchproof_server.proof.effects",
    "batchproof_server.proof.findings",
    "batchproof_server.proof.keras.config",
    "batchproof_server.proof.keras.modes",
    "batchproof_server.proof.rows",
    "batchproof_server.proof.rules",
    "batchproof_server.base.registry",
    "batchproof_server.base.input_statistics",
    "batchproof_server.base.scores",
    "batchproof_server.base.signature",
    "batchproof_server.tta",
    "batchproof_server.base.events",
    "batchproof_server.base.validation",
)
IMPURE = ("asyncio", "concurrent", "http", "multiprocessing", "socket", "subprocess", "threading")


def violations(module: str, source: str) -> list[Use]:
    """The uses in one module that no door allows.

    An outside package without any door is a violation too: nobody owns it yet.
    """
    return [use for use in uses(module, source) if not _allowed(use)]


def package_of(distribution: str) -> str:
    """The dotted name by which a distribution is imported."""
    return _PACKAGE_OF.get(distribution, distribution.replace("-", "_"))


def unimported(distributions: Iterable[str], sources: Mapping[str, str]) -> list[str]:
    """The distributions that no module imports and that need no import, sorted.

    Args:
        distributions: their names.
        sources: the text of each module by its dotted name.
    """
    targets = {use.target for module, source in sources.items() for use in uses(module, source)}
    return sorted(
        name
        for name in set(distributions) - set(NEEDED_WITHOUT_IMPORT)
        if not any(_inside_any(target, [package_of(name)]) for target in targets)
    )


def uses(module: str, source: str) -> Iterator[Use]:
    """Every import of a module, and every attribute that it reads off a plainly imported one."""
    nodes = list(ast.walk(ast.parse(source)))
    names = dict(_plain_imports(nodes))
    for node in nodes:
        for target in _targets(node, names):
            yield Use(module, target, getattr(node, "lineno", 0))


def module_name(path: Path) -> str:
    """The dotted name of a module of the three packages."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(part for part in parts if part != "__init__")


def _plain_imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)


def _targets(node: ast.AST, names: Mapping[str, str]) -> list[str]:
    match node:
        case ast.Import(names=aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom(module=origin, names=aliases, level=0):
            return [f"{origin}.{alias.name}" for alias in aliases]
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in names:
            return [f"{names[name]}.{attribute}"]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__")
            | ast.Attribute(attr="import_module" | "__import__"),
            args=[ast.Constant(value=str(target)), *_],
        ):
            return [target]
        case _:
            return []


def _allowed(use: Use) -> bool:
    if _inside_any(use.target, IMPURE) and _inside_any(use.module, PURE):
        return False
    doors = [owners for door, owners in DOORS.items() if _inside_any(use.target, [door])]
    if doors:
        return any(_inside_any(use.module, owners) for owners in doors)
    top = use.target.split(".")[0]
    return top in OURS or top in sys.stdlib_module_names


def _inside_any(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
