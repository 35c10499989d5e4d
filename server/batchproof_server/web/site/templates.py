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
    from markupsafe import Markup  # noqa: PLC0415 - comes with it

    def finalized(value: Any) -> Any:
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return printable(value) if is_text else value

    environment = Environment(
        autoescape=True,
        finalize=finalized,
        loader=FileSystemLoader(_TEMPLATES),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )

    def render(template: str, **values: Any) -> bytes:
        return environment.get_template(template).render(values).encode()

    return render
