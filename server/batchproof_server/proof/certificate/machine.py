"""What an answer's last bits depend on besides the model: processor, threads, versions."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

# What computes whatever the engine is.
COMMON_PACKAGES: Final = ("python", "batchproof", "numpy", "pillow")
_CPUINFO: Final = Path("/proc/cpuinfo")
# The extensions of the instruction set that numeric kernels are chosen by.
_FEATURES: Final = re.compile(
    r"(ss?se\d?|sse4_[12a]|sse4a|pni|avx\w*|fma\w*|f16c|amx\w*|neon|asimd\w*|sve\w*|sme\w*|i8mm|bf16)"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The processor as the operating system describes it.

    Attributes:
        system: of the operating system.
        architecture: such as ``x86_64``.
        processor: vendor, model and cache; kernels choose their block sizes by the cache.
        cpu_features: extensions that numeric kernels use, sorted; empty where they are not known.
        usable_cpus: those that this process may run on; an engine has as many threads by default.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    system: str
    architecture: str
    processor: str
    cpu_features: tuple[str, ...]
    usable_cpus: int


def this_machine(cpuinfo: Path = _CPUINFO) -> Machine:
    """Describes this machine; elsewhere than on Linux without features."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    fields = _fields(text)
    keys = ("vendor_id", "cpu family", "model", "stepping", "model name", "cache size")
    known = [fields[key] for key in (*keys, "CPU implementer", "CPU part") if key in fields]
    flags = fields.get("flags", fields.get("Features", "")).split()
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        processor=" / ".join(known) or platform.processor(),
        cpu_features=tuple(sorted({flag for flag in flags if _FEATURES.fullmatch(flag)})),
        usable_cpus=usable_cpus(),
    )


def _fields(text: str) -> dict[str, str]:
    """The lines of the first processor."""
    first = text.partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def usable_cpus() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def installed_versions(packages: tuple[str, ...] = ()) -> Mapping[str, str]:
    """The versions of what computes answers, by name; what is not installed is left out.

    They are read once: what this process computes with does not change while it runs, whatever
    becomes of the files.

    Args:
        packages: of artefact kinds and engines.
    """
    versions = {"python": platform.python_version()}
    for name in {*COMMON_PACKAGES[1:], *packages}:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
