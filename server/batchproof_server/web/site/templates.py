"""Pages written from templates: whatever comes from outside is text in them, never markup."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from batchproof.text import printable

Render: TypeAlias = Callable[..., bytes]
"""From the name of a template and its values to a page."""
FOLDER: Final = Path(__file__).parent
_TEMPLATES: Final = FOLDER / "templates"


def make_render() -> Render:
    """What writes pages.

    Every value is escaped by the environment and not by the template, so that a template cannot
    forget it; characters that turn a line round or end it are made visible before.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - 2 MB that no server takes unless it has a site

    environment = Environment(
        autoescape=True,
        finalize=_finalized,
        loader=FileSystemLoader(_TEMPLATES),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )

    def render(template: str, **values: Any) -> bytes:
        return environment.get_template(template).render(values).encode()

    return render


def _finalized(value: Any) -> Any:
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value)
    return value
