"""How outputs of each kind become scores."""

from batchproof_server.base.meaning import Limit
from batchproof_server.base.output_forms import FORMS, ScoresKind
from batchproof_server.base.scores import Scoring


def scoring(kind: ScoresKind, limit: Limit = None, name: str = "scores") -> Scoring:
    """Of an output of this kind."""
    return Scoring(name, FORMS[kind], FORMS[kind].meaning(limit))
