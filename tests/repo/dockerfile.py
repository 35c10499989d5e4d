"""Reads a Dockerfile far enough to carry out its COPY, ENV and RUN steps without an engine."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from repo.checkout import BIN, ROOT, run


@dataclass(frozen=True)
class Step:
    """One instruction: its word (``RUN``) and what stands behind it, on one line."""

    word: str
    rest: str

    @property
    def command(self) -> list[str]:
        """The exec form of ENTRYPOINT, CMD and HEALTHCHECK CMD: a JSON array."""
        parsed: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return parsed


def stages(text: str) -> list[list[Step]]:
    """The steps of each stage, in order; each stage begins with its FROM."""
    found: list[list[Step]] = []
    for step in _steps(text):
        if step.word == "FROM":
            found.append([])
        found[-1].append(step)
    return found


@dataclass(frozen=True)
class Replay:
    """Carries out steps below a folder that stands in for ``/``.

    Only paths below ``/opt/`` are moved; a step that would write elsewhere is none of ours.

    Attributes:
        root: the folder.
        arguments: ``--build-arg``, by name.
    """

    root: Path
    arguments: Mapping[str, str] = field(default_factory=dict)

    def build(self, steps: list[Step]) -> None:
        """Carries out a stage that copies from the checkout and runs commands."""
        folder = self.root
        environment: dict[str, str] = {}
        for step in steps:
            match step.word:
                case "WORKDIR":
                    folder = Path(self.moved(step.rest))
                    folder.mkdir(parents=True)
                case "COPY":
                    _copy(step.rest.split(), folder)
                case "ARG":
                    name, _, value = step.rest.partition("=")
                    environment[name] = self.arguments.get(name, value)
                case "ENV":
                    environment |= self.variables(step)
                case "RUN":
                    self.run(["sh", "-ec", self.moved(step.rest)], environment, folder)

    def run(self, command: list[str], environment: dict[str, str], folder: Path) -> str:
        """Runs a command of the image; returns its standard output."""
        path = environment.get("PATH", "$PATH").replace("$PATH", f"{BIN}:/usr/bin:/bin")
        return run(command, cwd=folder, environment={**environment, "PATH": path}).stdout

    def variables(self, step: Step) -> dict[str, str]:
        """The variables of an ENV step."""
        pairs = (pair.split("=", 1) for pair in shlex.split(step.rest))
        return {name: self.moved(value) for name, value in pairs}

    def moved(self, text: str) -> str:
        """``text`` with every path below ``/opt/`` moved below the folder."""
        return re.sub(r"(?<![\w/])/opt/", f"{self.root}/opt/", text)


def _steps(text: str) -> Iterator[Step]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    for line in filter(str.strip, joined.splitlines()):
        word, rest = line.split(maxsplit=1)
        yield Step(word, rest.strip())


def _copy(words: list[str], folder: Path) -> None:
    """Copies files and folders of the checkout as COPY does."""
    *sources, target = words
    for source in (ROOT / name for name in sources):
        if source.is_dir():
            shutil.copytree(source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            destination = folder / target / source.name
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, destination)
