"""A recipe as the manifest spells it. Pure."""

from collections.abc import Iterator
from dataclasses import asdict

from batchproof_server.imaging.resize import ResizePlan
from batchproof_server.imaging.settings import RecipePlan, readable_formats


def recipe_text(plan: RecipePlan) -> str:
    """The ``[recipe]`` table in TOML, without the keys that are the default anyway.

    Read again, with the same model, it comes to the same plan.
    """
    lines = ["[recipe]", f'decoder = "{plan.decoder}"']
    if plan.formats != readable_formats(plan.decoder, plan.color):
        lines.append(f"formats = {_value(plan.formats)}")
    lines += [f'color = "{plan.color}"', f'orientation = "{plan.orientation}"']
    lines += [f'{key} = "{value}"' for key, value in _forms(plan)]
    if plan.resize is not None:
        lines += ["", "[recipe.resize]", *_resize_lines(plan.resize)]
    if plan.normalize is not None:
        steps = asdict(plan.normalize).items()
        given = [f"{key} = {_value(value)}" for key, value in steps if value is not None]
        lines += ["", "[recipe.normalize]", *given]
    return "\n".join(lines)


def _forms(plan: RecipePlan) -> Iterator[tuple[str, str]]:
    if plan.dtype != "float32":
        yield "dtype", plan.dtype
    if plan.layout != "channels_last":
        yield "layout", plan.layout


def _resize_lines(resize: ResizePlan) -> Iterator[str]:
    for key, value in asdict(resize).items():
        if value is not None:
            yield f"{key} = {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
