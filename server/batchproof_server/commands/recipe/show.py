"""``batchproof-server recipe show``: the tensor that the model sees of one picture."""

import io
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from batchproof.text import joined
from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.backends.examining import open_audited
from batchproof_server.base.errors import InvalidInput, ModelRefused
from batchproof_server.base.files import read_named, reason_of
from batchproof_server.commands.certify.command import FINDINGS, OK, only_bundle
from batchproof_server.commands.evaluate.command import tell_fault
from batchproof_server.commands.opening import open_within
from batchproof_server.commands.report import field
from batchproof_server.commands.terminal import write
from batchproof_server.imaging.encoding import encode_png
from batchproof_server.imaging.mistakes import PARTS, name_in
from batchproof_server.models.bundle import read_bundle
from batchproof_server.models.fitting import fit_recipe
from batchproof_server.offline.recipe_look.explaining import Explainer
from batchproof_server.offline.recipe_look.explanation import Explanation, other_array
from batchproof_server.offline.recipe_search.candidates import RecipeInput

_MAX_ARRAY_BYTES: Final = 1 << 28


def show(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0; 1 when the array of ``--against`` is another or the bundle was refused; 2 for wrong
        usage, and for files that cannot be used.
    """
    try:
        _check_out(arguments.out)
        explainer = _open(arguments, read_config(arguments.config, {}))
        explanation = _explain(arguments.against, explainer)
        if arguments.out is not None:
            _write_out(arguments.out, explainer)
    except (ModelRefused, InvalidInput, ValueError) as fault:
        return tell_fault(arguments.bundle, fault)
    write(joined(_report(arguments, explainer, explanation)))
    return OK if explanation is None or explanation.is_same else FINDINGS


def _open(arguments: Namespace, config: Config) -> Explainer:
    """Loads nothing but the recipe.

    Raises:
        ModelRefused: the bundle cannot be opened, or its recipe does not fit.
        ValueError: there is no recipe, or the picture cannot be read.
        InvalidInput: the recipe refuses the picture.
    """
    place = only_bundle(arguments.bundle)
    bundle = read_bundle(place.name, place.version, place.directory)
    if bundle.manifest.recipe is None:
        raise ValueError(f"{arguments.bundle}: the manifest has no [recipe], so nothing is shown")
    prepare_engines()
    plugs = loading_plugs(config).imaging(bundle.kind)
    kind, file = bundle.kind, bundle.artefact
    opened = open_within(config, file.name, lambda: open_audited(kind, file, config.engine))
    signature = open_within(config, file.name, lambda: opened.source.signature((2,)))
    recipe = fit_recipe(bundle, signature, plugs, config.images)
    if recipe is None:
        raise ValueError(f"{arguments.bundle}: the manifest has no [recipe], so nothing is shown")
    encoded = _read(arguments.picture, config.images.max_image_bytes)
    model = RecipeInput(signature.inputs[0], plugs, config.images)
    explainer = Explainer(recipe, model, encoded)
    try:
        explainer.row  # noqa: B018 - made now, so that a picture is refused before anything is said
    except InvalidInput as invalid:
        raise InvalidInput(f"{arguments.picture}: {invalid}") from invalid
    return explainer


def _read(file: Path, max_bytes: int) -> bytes:
    try:
        return read_named(file, max_bytes)
    except OSError as fault:
        raise ValueError(f"{file}: cannot be read ({reason_of(fault)})") from fault


def _explain(file: Path | None, explainer: Explainer) -> Explanation | None:
    if file is None:
        return None
    content = _read(file, _MAX_ARRAY_BYTES)
    try:
        first = explainer.recipe.plan.layout == "channels_first"
        other = other_array(
            np.lib.format.read_array(io.BytesIO(content), allow_pickle=False),
            explainer.row.shape,
            channels_first=first,
        )
    except (ValueError, EOFError, MemoryError, OverflowError) as fault:
        raise ValueError(f"{file}: no array to compare with: {fault}") from fault
    return explainer.explain(other)


def _check_out(file: Path | None) -> None:
    if file is None:
        return
    if file.suffix not in (".npy", ".png"):
        raise ValueError(f"--out: {file}, expected a name that ends in .npy or .png")
    if file.exists():
        raise ValueError(f"--out: {file} is there already, and is not written over")


def _write_out(file: Path, explainer: Explainer) -> None:
    if file.suffix == ".png":
        levels = np.clip(np.rint(explainer.levels), 0, 255).astype(np.uint8)
        content = encode_png(levels)
    else:
        stream = io.BytesIO()
        np.save(stream, explainer.recipe.apply(explainer.encoded))
        content = stream.getvalue()
    try:
        with file.open("xb") as opened:
            opened.write(content)
    except OSError as fault:
        raise ValueError(f"--out: {file} cannot be written ({reason_of(fault)})") from fault


def _report(
    arguments: Namespace, explainer: Explainer, explanation: Explanation | None
) -> Iterator[str]:
    recipe = explainer.recipe
    row = recipe.apply(explainer.encoded)
    header = recipe.header(explainer.encoded)
    yield f"{arguments.picture}: {header.width} x {header.height} pixels, {header.format}"
    yield from field("recipe", [recipe.digest])
    yield from field("does", [name_in(part, recipe.plan) for part in PARTS])
    yield from field("tensor", [f"{row.dtype.name} {list(row.shape)}, without the axis of rows"])
    yield from field("range", [f"{row.min():.6g} to {row.max():.6g}"])
    yield from field("channels", _by_channel(explainer))
    if arguments.out is not None:
        yield from field("wrote", [str(arguments.out)])
    if explanation is not None:
        yield from _comparison(arguments.against, explanation)


def _by_channel(explainer: Explainer) -> list[str]:
    color = explainer.recipe.plan.color
    names = {"rgb": ("red", "green", "blue"), "bgr": ("blue", "green", "red")}.get(color, (color,))
    return [
        f"{name}: mean {values.mean():.6g}, {values.min():.6g} to {values.max():.6g}"
        for name, values in zip(names, np.moveaxis(explainer.row, -1, 0), strict=True)
    ]


def _comparison(file: Path, found: Explanation) -> Iterator[str]:
    yield ""
    for form in found.forms:
        yield f"{file} has {form}; that is put aside."
    if found.is_same:
        bits = "bit for bit" if not found.before.greatest else "but for rounding"
        yield f"{file}: THE SAME, {bits} (greatest difference {found.before.greatest:.3g})"
        return
    yield (
        f"{file}: ANOTHER ARRAY, by up to {found.before.greatest:.4g} "
        f"(root mean square {found.before.root_mean_square:.4g})"
    )
    for mine, manifest in found.differences:
        yield f"  yours: {mine}; the manifest: {manifest}"
    if found.is_whole:
        yield "  That explains all of it."
    elif found.differences:
        yield (
            f"  That explains {found.explained:.1%} of the squared difference; up to "
            f"{found.after.greatest:.4g} is left, which no usual mistake explains."
        )
    else:
        yield "  No usual mistake explains it: not the scaling, colours, size, filter or turn."
