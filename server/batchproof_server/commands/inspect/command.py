"""``batchproof-server inspect``: says what a model is, before there is a bundle."""

import json
from argparse import Namespace
from collections.abc import Iterator

from batchproof.text import joined
from batchproof_server.application.config import prepare_engines, read_config
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import TensorSpec
from batchproof_server.commands.opening import open_within
from batchproof_server.commands.report import field, summed_repairs
from batchproof_server.commands.terminal import write, write_error
from batchproof_server.models.manifest import MANIFEST_NAME
from batchproof_server.offline.inspection.draft import Draft, preset_text, watched_output
from batchproof_server.offline.inspection.guesses import Guess
from batchproof_server.offline.inspection.inspecting import Inspection, inspect_model

OK, FINDINGS, USAGE = 0, 1, 2


def inspect(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when it could be opened, 1 when not, 2 for wrong usage.
    """
    try:
        config = read_config(arguments.config, {})
    except ValueError as fault:
        write_error(str(fault))
        return USAGE
    prepare_engines()
    try:
        path = arguments.model.resolve()
        found = open_within(config, path.name, lambda: inspect_model(path, config.engine))
    except ModelRefused as refused:
        for finding in refused.findings or (str(refused),):
            write_error(finding)
        return FINDINGS
    write(_as_json(found) if arguments.json else joined(_lines(found)))
    return OK


def _as_json(found: Inspection) -> str:
    values = {
        "kind": found.kind,
        "inputs": {spec.name: str(spec) for spec in found.signature.inputs},
        "outputs": {
            spec.name: {
                "tensor": str(spec),
                "ends_with": found.anatomy.endings.get(spec.name, ""),
                "likely_kind": found.kinds[spec.name].value,
                "reason": found.kinds[spec.name].reason,
            }
            for spec in found.signature.outputs
        },
        "left_out": found.anatomy.left_out,
        "parts": found.anatomy.parts,
        "preprocessing": found.anatomy.preprocessing,
        "likely_preset": found.preset.value,
        "preset_reason": found.preset.reason,
        "repairs": [f"{each.where}: {each.change}" for each in found.repairs],
    }
    return json.dumps(values, sort_keys=True)


def _lines(found: Inspection) -> Iterator[str]:
    anatomy, preset = found.anatomy, found.preset
    yield f"{found.artefact.name}: {found.kind}"
    yield from field("inputs", [f"{spec.name}: {spec}" for spec in found.signature.inputs])
    yield from field("outputs", [_output(spec, found) for spec in found.signature.outputs])
    if found.left_out:
        yield from field("left out", found.left_out)
    yield from field("parts", anatomy.parts)
    yield from field("inside", anatomy.preprocessing)
    yield from field("repairs", summed_repairs(found.repairs))
    kinds = [f"{name}: {_guessed(guess)}" for name, guess in found.kinds.items()]
    yield from field("likely kind", kinds)
    yield from field("likely recipe", [_guessed(preset)])
    yield ""
    yield f"To begin with, as {MANIFEST_NAME} beside the model:"
    yield ""
    yield from _draft(found).text.splitlines()
    yield ""
    yield "Labelled pictures tell whether that is right, and a bundle can be written from them:"
    yield f"  batchproof-server pack {found.artefact.name} --data LABELLED"


def _output(spec: TensorSpec, found: Inspection) -> str:
    ending = found.anatomy.endings.get(spec.name)
    return f"{spec.name}: {spec}" + (f", ends with a {ending}" if ending else "")


def _guessed(guess: Guess[str]) -> str:
    return f"{guess.value}: {guess.reason}" if guess.value else guess.reason


def _draft(found: Inspection) -> Draft:
    settings = found.recipe(found.preset.value) if found.preset.value else None
    hints = (
        "[recipe.normalize]",
        "divisor = 255.0   # if pictures were divided by 255 in training",
    )
    return Draft(
        title="",
        kinds=found.kinds,
        watched=watched_output(found.kinds, found.class_counts),
        recipe="" if settings is None else preset_text(settings),
        reasons=(found.preset.reason,),
        hints=() if found.is_scaling_known or settings is None else hints,
    )
