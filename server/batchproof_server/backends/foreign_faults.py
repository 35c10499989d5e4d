"""What libraries raise, as a sentence for a user: one line, without a path of this machine."""

from pathlib import Path
from typing import Final

_MOST_CHARACTERS: Final = 300


def finding(artefact: Path, fault: BaseException) -> str:
    """One line about a foreign exception while the artefact was opened."""
    return f"{artefact.name}: {first_line(str(fault).replace(str(artefact), artefact.name), fault)}"


def first_line(text: str, fault: BaseException) -> str:
    """The first line of a foreign exception's text, or its class where there is none."""
    return (text.strip() or type(fault).__name__).splitlines()[0][:_MOST_CHARACTERS]
