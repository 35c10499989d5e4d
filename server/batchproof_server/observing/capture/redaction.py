"""The hook that is shown each captured row before it is written."""

import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

# From what is said of a row, and its content, to what may be written of both; None keeps nothing.
Redact: TypeAlias = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes] | None]


class RedactionFailed(Exception):
    """The hook raised, or returned what it may not; nothing of the row is kept."""


def load_hook(path: str) -> Redact | None:
    """The function that a path names; None for no path.

    Args:
        path: ``module:function``; the module is imported as any other.

    Raises:
        ValueError: there is no such module or function, or it is none.
    """
    if not path:
        return None
    module_name, _, name = path.partition(":")
    try:
        hook = getattr(importlib.import_module(module_name), name, None)
    except Exception as fault:
        raise ValueError(
            f"capture.redact: {module_name} cannot be imported "
            f"({type(fault).__name__}: {fault}), expected a module on PYTHONPATH"
        ) from fault
    if hook is None:
        raise ValueError(f"capture.redact: {module_name} has no {name}")
    if not callable(hook):
        came = f"capture.redact: {path} is a {type(hook).__name__}"
        raise ValueError(f"{came}, expected a function")  # noqa: TRY004 - of the configuration
    checked: Redact = hook
    return checked


def redacted(
    hook: Redact | None, said: dict[str, Any], content: bytes
) -> tuple[dict[str, Any], bytes] | None:
    """What may be written of a row; None when it is not to be kept.

    Raises:
        RedactionFailed: the hook raised, or returned what it may not.
    """
    if hook is None:
        return said, content
    try:
        answer = hook(dict(said), content)
    except Exception as fault:
        raise RedactionFailed(f"capture.redact raised {type(fault).__name__}") from fault
    match answer:
        case None:
            return None
        case (dict() as allowed, bytes() as kept):
            # These say where it is written, and are ours.
            fixed = {key: said[key] for key in ("model", "version", "sample")}
            return {**allowed, **fixed}, kept
        case _:
            raise RedactionFailed("capture.redact did not return (dict, bytes) or None")
