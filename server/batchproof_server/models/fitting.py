"""Whether what a manifest declares fits the artefact beside it."""

from dataclasses import replace

import numpy as np

from batchproof_server.base.errors import InvalidInput, ModelRefused
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import FORMS, ScoresForm, finite_rows
from batchproof_server.base.signature import Array, Signature, Tensors, TensorSpec
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, compile_recipe
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.heads import Head
from batchproof_server.models.manifest import DeclaredSignature
from batchproof_server.tta.choice import Choice, choice_of
from batchproof_server.tta.policies import NONE


def check_declared(declared: DeclaredSignature, actual: Signature) -> None:
    """Returns when the artefact has the signature that the manifest declares.

    Raises:
        ModelRefused: it has another; every difference is named.
    """
    findings = tuple(
        finding
        for side, tensors, has in (
            ("inputs", declared.inputs, actual.inputs),
            ("outputs", declared.outputs, actual.outputs),
        )
        if (finding := _difference(side, tuple(tensor.spec() for tensor in tensors), has))
    )
    if findings:
        raise ModelRefused("the artefact has another signature than declared", findings)


def _difference(
    side: str, declared: tuple[TensorSpec, ...], actual: tuple[TensorSpec, ...]
) -> str | None:
    if {spec.name: spec for spec in declared} == {spec.name: spec for spec in actual}:
        return None
    came, has = _listed(declared), _listed(actual)
    return f"signature.{side}: the manifest declares {came}, the artefact has {has}"


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec}" for spec in specs)


def name_output(output: OutputSettings, signature: Signature) -> OutputSettings:
    """The output settings with the name of the scores' output filled in.

    Raises:
        ModelRefused: the artefact has no such output, or several and none is named.
    """
    if output.kind == "raw":
        return output
    names = [spec.name for spec in signature.outputs]
    name = output.name if output.name is not None or len(names) > 1 else names[0]
    if name not in names:
        came = "nothing" if name is None else f'"{name}"'
        raise ModelRefused(
            "the output of the scores is not clear",
            (f"output.name: {came}, one of {', '.join(names)}",),
        )
    return replace(output, name=name)


def other_heads(bundle: Bundle, signature: Signature) -> tuple[Head, ...]:
    """The outputs with scores beside the one that is watched, in the order of the signature.

    Raises:
        ModelRefused: the manifest names an output that the artefact has not.
    """
    names = [spec.name for spec in signature.outputs]
    if unknown := [name for name in bundle.manifest.outputs if name not in names]:
        findings = (f"outputs.{name}: unknown, one of {', '.join(names)}" for name in unknown)
        raise ModelRefused("the manifest names other outputs than the artefact", tuple(findings))
    heads = bundle.manifest.other_heads
    return tuple(
        Head(name, heads[name].settings(name), bundle.head_labels[name])
        for name in names
        if name in heads
    )


def check_heads(
    bundle: Bundle, output: OutputSettings, heads: tuple[Head, ...], outputs: Tensors
) -> int:
    """How many classes the watched output has; 0 for a raw one. All are checked.

    Raises:
        ModelRefused: see ``check_scores``.
    """
    classes = 0
    if output.name is not None:
        path = f"outputs.{output.name}" if bundle.manifest.outputs else "output"
        classes = check_scores(output, outputs, bundle.labels, path)
    for head in heads:
        check_scores(head.output, outputs, head.labels, f"outputs.{head.name}")
    return classes


def check_scores(
    output: OutputSettings, outputs: Tensors, labels: tuple[str, ...], path: str = "output"
) -> int:
    """How many classes an output has that can be scores of these labels.

    Args:
        output: as declared, with its name.
        outputs: of one execution.
        labels: of the bundle; empty when it names none.
        path: of the declaration in the manifest.

    Raises:
        ModelRefused: its form, its values or the number of labels or thresholds do not fit.
    """
    name, kind = output.scores()
    form, scores = FORMS[kind], outputs[name]
    _check_form(form, scores, path)
    classes = int(form.columns(scores).shape[1])
    findings = []
    if labels and len(labels) != classes:
        findings.append(f"labels: {len(labels)} for {classes} classes")
    if output.thresholds is not None and len(output.thresholds) != classes:
        findings.append(f"{path}.thresholds: {len(output.thresholds)} for {classes} labels")
    rows = finite_rows(scores)
    if not form.has_logits and len(rows) < len(scores):
        findings.append(f'{path}.kind: declared "{kind}", but a row of zeros is answered with NaN')
    elif contradiction := form.contradiction(rows[:1]):  # all are answers to zeros
        findings.append(f"{path}.kind: {contradiction.detail}")
    if findings:
        raise ModelRefused("the output does not fit its declaration", tuple(findings))
    return classes


def _check_form(form: ScoresForm, scores: Array, path: str) -> None:
    if not form.fits(scores.shape) or not np.issubdtype(scores.dtype, np.floating):
        came = f"{scores.dtype.name} {list(scores.shape)}"
        raise ModelRefused(
            "the output holds no class scores",
            (f'{path}.kind: "{form.name}" needs floats {form.expected}, the output is {came}',),
        )


def tta_choice(bundle: Bundle, output: OutputSettings, recipe: Recipe | None) -> Choice:
    """The policies of test-time augmentation.

    Raises:
        ModelRefused: the model cannot be augmented, or a policy or its weights do not fit it.
    """
    settings = bundle.manifest.tta
    lacks = [
        what
        for what, missing in (
            ("a recipe", recipe is None),
            ("class scores, and the output is raw", output.kind == "raw"),
        )
        if missing and (settings.default != NONE or settings.policies or bundle.tta_weights)
    ]
    if lacks:
        findings = tuple(f"tta: augmentation needs {what}" for what in lacks)
        raise ModelRefused("the model cannot be augmented", findings)
    digest = "" if recipe is None else recipe.digest
    try:
        return choice_of(settings, bundle.tta_weights, bundle.model_digest, digest, output.meaning)
    except InvalidSettings as invalid:
        raise ModelRefused("the augmentation does not fit the model", invalid.faults) from invalid


def fit_recipe(
    bundle: Bundle, signature: Signature, imaging: Plugs, limits: ImageLimits
) -> Recipe | None:
    """The compiled recipe, run once; None where the manifest has none.

    Raises:
        ModelRefused: it does not fit the model.
    """
    recipe = compile_fitting(bundle, signature, imaging, limits)
    if recipe is None:
        return None
    try:
        recipe.warm_up()
    except InvalidInput as refused:
        finding = f"recipe: a blank picture of the model's size is refused: {refused}"
        raise ModelRefused("the recipe does not do", (finding,)) from refused
    return recipe


def compile_fitting(
    bundle: Bundle, signature: Signature, imaging: Plugs, limits: ImageLimits
) -> Recipe | None:
    """The compiled recipe; None where the manifest has none.

    Raises:
        ModelRefused: it does not fit the model.
    """
    settings = bundle.manifest.recipe
    if settings is None:
        return None
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise ModelRefused(
            "a recipe needs a model with one input",
            (f"recipe: the model has the inputs {names}, expected one",),
        )
    try:
        return compile_recipe(settings, signature.inputs[0], imaging, limits)
    except InvalidSettings as invalid:
        raise ModelRefused("the recipe does not fit the model", invalid.faults) from invalid
