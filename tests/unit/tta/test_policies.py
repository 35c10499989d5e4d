"""The manifest's table, and what requests come to."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.validation import InvalidSettings, parse_settings
from batchproof_server.tta.aggregation import AGGREGATION_PARAMETERS
from batchproof_server.tta.choice import SERVER_CHOICE, Choice, TtaRequest, choice_of
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.policies import NAMED, TtaSettings
from batchproof_server.tta.views import VIEW_PARAMETERS, parse_views
from batchproof_server.tta.weights import FittedWeights, fitted_policy_digest

PAGE = Path(__file__).parents[3] / "docs" / "tta.md"
MINE = {"views": ["identity", "rotate(10)", "rotate(-10)"]}


def choice(table: dict[str, Any], fitted: FittedWeights | None = None) -> Choice:
    return choice_of(parse_settings(TtaSettings, table), fitted, "m" * 64, "r" * 64)


def fitted(policy: str = "flip", *views: str, **changes: Any) -> FittedWeights:
    views = views or ("identity", "hflip")
    values: dict[str, Any] = {
        "format": 1,
        "model_digest": "m" * 64,
        "recipe_digest": "r" * 64,
        "policy": policy,
        "policy_digest": fitted_policy_digest(views),
        "views": views,
        "weights": (0.75, 0.25),
        "method": "by hand",
        "rows": 100,
        "loss_before_nats": 0.5,
        "loss_after_nats": 0.4,
    }
    return FittedWeights(**(values | changes))


def refusal(made: Choice, asked: TtaRequest) -> str:
    with pytest.raises(InvalidInput) as refused:
        made.plan(asked)
    return str(refused.value)


def test_the_server_has_five_policies_and_none_is_the_default() -> None:
    counts = {name: len(plan.views) for name, plan in SERVER_CHOICE.plans.items()}
    assert counts == {"none": 1, "flip": 2, "d4": 8, "crops": 6, "light": 5}
    assert SERVER_CHOICE.plan(None).is_plain
    assert SERVER_CHOICE.plan(TtaRequest()).is_plain
    assert SERVER_CHOICE.takes_views


def test_the_digest_of_a_policy_is_the_same_for_ever() -> None:
    assert SERVER_CHOICE.plans["flip"].digest == (
        "2c0726b5bc757b5b6c2f03a7b953960b4f6a1f672d67ef11b704bef0a91728fa"
    )
    digests = {plan.digest for plan in SERVER_CHOICE.plans.values()}
    digests.add(SERVER_CHOICE.plan(TtaRequest("flip", aggregation="vote")).digest)
    digests.add(SERVER_CHOICE.plan(TtaRequest("flip", early_exit=0.9)).digest)
    assert len(digests) == 7


def test_a_request_changes_what_it_names_and_nothing_else() -> None:
    made = choice({"policies": {"mine": MINE | {"aggregation": "vote", "early_exit": 0.8}}})
    plan = made.plan(TtaRequest("mine", seed=3))
    assert (plan.aggregation.text, plan.early_exit, plan.seed) == ("vote", 0.8, 3)
    plan = made.plan(TtaRequest("mine", aggregation="sharpen", early_exit=0.5))
    assert (plan.aggregation.text, plan.early_exit, plan.seed) == ("sharpen(2)", 0.5, 0)
    assert plan.policy == "mine"


def test_the_views_of_a_request_are_called_custom() -> None:
    plan = SERVER_CHOICE.plan(TtaRequest(views=("identity", "five_crop")))
    assert (plan.policy, len(plan.views)) == ("custom", 6)


def test_a_request_without_policy_and_views_takes_the_default() -> None:
    made = choice({"default": "mine", "policies": {"mine": MINE}})
    assert made.plan(None).policy == "mine"
    assert made.plan(TtaRequest(aggregation="max")).aggregation.text == "max"
    assert made.plan(TtaRequest("none")).is_plain


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (TtaRequest("d5"), 'unknown policy "d5", one of none, flip, d4, crops, light'),
        (TtaRequest("flip", ("hflip",)), "policy and views are both given"),
        (TtaRequest(views=("upside",)), 'unknown view "upside", one of identity'),
        (TtaRequest(views=("hflip",) * 33), "33 views of a row, expected at most 32"),
        (TtaRequest(views=("five_crop",) * 7), "35 views of a row, expected at most 32"),
        (TtaRequest("flip", aggregation="median"), 'unknown aggregation "median"'),
        (TtaRequest("flip", aggregation="weighted"), 'the policy "flip" has no weights'),
        (TtaRequest("flip", early_exit=1.5), "early_exit is 1.5, expected above 0 and at most 1"),
        (TtaRequest("flip", early_exit=float("nan")), "early_exit is nan"),
        (TtaRequest(views=("hflip",), early_exit=0.9), 'early_exit needs the view "identity"'),
        (TtaRequest(views=("hflip",), aggregation="blend"), 'needs the view "identity"'),
        (TtaRequest("flip", seed=2**64), "expected 0 to 18446744073709551615"),
    ],
)
def test_a_request_that_cannot_be_is_told_what_is_known(asked: TtaRequest, sentence: str) -> None:
    text = refusal(SERVER_CHOICE, asked)
    assert text.startswith("options.tta: ")
    assert sentence in text


def test_a_policy_that_is_not_allowed_is_not_known() -> None:
    made = choice({"allowed": ["flip"], "policies": {"mine": MINE}})
    assert set(made.plans) == {"none", "flip"}
    assert "one of none, flip" in refusal(made, TtaRequest("d4"))
    assert "the model takes no views" in refusal(made, TtaRequest(views=("hflip",)))


def test_allowing_custom_lets_a_request_name_views() -> None:
    made = choice({"allowed": ["custom"]})
    assert made.plan(TtaRequest(views=("hflip",))).policy == "custom"
    assert set(made.names) == {"none", "custom"}


def test_policies_with_more_views_than_allowed_are_not_offered() -> None:
    assert set(choice({"max_views": 5}).plans) == {"none", "flip", "light"}


def test_every_fault_of_the_table_is_named_with_its_path() -> None:
    with pytest.raises(InvalidSettings) as refused:
        parse_settings(
            TtaSettings,
            {
                "policies": {
                    "a": {"views": ["identity", "rotat(5)"], "aggregation": "median"},
                    "b": {"views": ["identity"], "speed": 3},
                    "c": {"views": ["identity"], "weights": [1.0]},
                    "e": {"views": ["identity"], "aggregation": "weighted", "weights": [1, 2]},
                    "f": {"views": []},
                    "g": {"views": ["hflip"], "early_exit": 0.5},
                }
            },
        )
    faults = dict(fault.split(": ", 1) for fault in refused.value.faults)
    assert faults["policies.a.views.1"].startswith('unknown view "rotat", one of identity')
    assert faults["policies.a.aggregation"].startswith('unknown aggregation "median"')
    assert faults["policies.b.speed"] == 'unknown key; the nearest known one is "seed"'
    assert faults["policies.c"] == 'weights need the aggregation "weighted", not "mean"'
    assert faults["policies.e"] == "2 weight(s) for 1 view(s)"
    assert faults["policies.f"] == "views is empty, expected one or more"
    assert faults["policies.g"] == 'early_exit needs the view "identity"'


def test_faults_between_the_keys_are_named_with_their_paths() -> None:
    with pytest.raises(InvalidSettings) as refused:
        parse_settings(
            TtaSettings,
            {
                "default": "best",
                "allowed": ["flip", "flop"],
                "safe_views": ["hflip", "mirror"],
                "max_views": 2,
                "policies": {
                    "mine": MINE,
                    "flip": {"views": ["hflip"]},
                    "My": {"views": ["vflip"]},
                },
            },
        )
    faults = refused.value.faults
    assert any(fault.startswith('default: unknown policy "best", one of none') for fault in faults)
    assert any(fault.startswith('allowed.1: unknown policy "flop"') for fault in faults)
    assert any(fault.startswith('safe_views.1: unknown view "mirror"') for fault in faults)
    assert "policies.mine: 3 views, max_views is 2" in faults
    assert "policies.flip: the name is the server's own" in faults
    assert any(fault.startswith("policies.My: expected a name of a-z") for fault in faults)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"default": "d4", "max_views": 4}, 'default: "d4" has 8 views, max_views is 4'),
        ({"max_views": 0}, "max_views: 0, expected 1 to 64"),
        ({"max_views": 65}, "max_views: 65, expected 1 to 64"),
    ],
)
def test_impossible_numbers_of_views_are_faults(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        parse_settings(TtaSettings, table)
    assert fault in refused.value.faults


def test_views_that_may_change_a_label_are_warned_about_unless_declared_safe() -> None:
    views = parse_views(["identity", "hflip", "rotate(90)", "hflip"])
    (warning,) = SERVER_CHOICE.warnings(views)
    assert warning.startswith("hflip, rotate(90): may show something else")
    assert "tta.safe_views" in warning
    assert choice({"safe_views": ["hflip", "rotate"]}).warnings(views) == ()
    assert SERVER_CHOICE.warnings(parse_views(["identity", "crop(0.9)"])) == ()


def test_fitted_weights_are_used_where_weighted_is_asked_for() -> None:
    weights = fitted()
    made = choice({}, weights)
    assert made.plan(TtaRequest("flip")).aggregation.text == "mean"
    plan = made.plan(TtaRequest("flip", aggregation="weighted"))
    assert (plan.weights, plan.weights_digest) == ((0.75, 0.25), weights.digest)
    assert "has no weights" in refusal(made, TtaRequest("d4", aggregation="weighted"))


def test_a_weighted_policy_of_the_manifest_takes_the_fitted_weights() -> None:
    table = {"policies": {"mine": {"views": ["identity", "hflip"], "aggregation": "weighted"}}}
    assert choice(table, fitted("mine")).plan(TtaRequest("mine")).weights == (0.75, 0.25)
    with pytest.raises(InvalidSettings, match=r'policies\.mine: the aggregation "weighted"'):
        choice(table)


def test_the_weights_of_the_manifest_are_used_as_they_stand() -> None:
    own = {"views": ["identity", "hflip"], "aggregation": "weighted", "weights": [3, 1]}
    plan = choice({"policies": {"mine": own}}).plan(TtaRequest("mine"))
    assert list(plan.weights) == [3, 1]
    assert plan.shares == (0.75, 0.25)
    assert plan.weights_digest == ""
    with pytest.raises(InvalidSettings, match='the manifest names weights for "mine" too'):
        choice({"policies": {"mine": own}}, fitted("mine"))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"model_digest": "x" * 64}, "model_digest: fitted to xxxxxxxxxxxx, the bundle has mmmm"),
        ({"recipe_digest": "x" * 64}, "recipe_digest: fitted to xxxxxxxxxxxx, the bundle has rrrr"),
        ({"policy": "best"}, 'policy: unknown "best", one of none, flip'),
        ({"policy": "light"}, "policy_digest: fitted to "),
    ],
)
def test_weights_that_were_fitted_to_something_else_are_refused(
    changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(InvalidSettings) as refused:
        choice({}, fitted(**changes))
    assert all(line.startswith("tta_weights.json: ") for line in refused.value.faults)
    assert fault in refused.value.faults[0]


def test_the_shares_of_a_blend_are_those_of_its_formula() -> None:
    views = parse_views(["identity", "hflip", "vflip"])
    plan = SERVER_CHOICE.plan(
        TtaRequest(views=tuple(view.text for view in views), aggregation="blend(0.4)")
    )
    assert plan.shares == pytest.approx((0.4, 0.3, 0.3))
    assert Plan("x", views).shares == pytest.approx((1 / 3,) * 3)


def test_the_table_of_the_page_is_understood() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    made = choice(tomllib.loads(block)["tta"])
    assert set(made.plans) == {"none", "tilt", "mostly-plain"}
    assert made.default.policy == "tilt"


def test_the_page_lists_every_view_policy_and_aggregation() -> None:
    named = set(re.findall(r"`([a-z_0-9]+)[(`]", PAGE.read_text(encoding="utf-8")))
    assert {*VIEW_PARAMETERS, *NAMED, *AGGREGATION_PARAMETERS} <= named


def test_the_server_s_policies_are_their_views() -> None:
    assert NAMED["d4"].plan("d4").views == parse_views(
        ["identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse"]
    )
