"""From what a call brings to what its caller may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from batchproof_server.base.errors import Forbidden, InvalidInput, Unauthenticated, cut
from batchproof_server.base.priorities import PRIORITIES, Priority, is_above
from batchproof_server.callers.quotas import Quota, QuotaLimits
from batchproof_server.callers.settings import CallerSettings, MethodKind


@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """What one caller may do, and has; the same value for all of its calls.

    Attributes:
        name: of the caller.
        quota: what it has.
    """

    name: str
    settings: CallerSettings
    quota: Quota

    def check_method(self, kind: MethodKind) -> None:
        """Returns when methods of this kind may be called.

        Raises:
            Forbidden: they may not.
        """
        if kind not in self.settings.methods:
            may = ", ".join(self.settings.methods) or "nothing"
            raise Forbidden(
                f'caller "{self.name}" asked for a method of the kind {kind} and may call {may}; '
                f"access.callers.{self.name}.methods says so"
            )

    def check_model(self, model: str) -> None:
        """Returns when a model may be used.

        Raises:
            Forbidden: it may not.
        """
        if self.settings.models and model not in self.settings.models:
            may = ", ".join(f'"{each}"' for each in self.settings.models)
            raise Forbidden(
                f'caller "{self.name}" asked for the model "{model}" and may use {may}; '
                f"access.callers.{self.name}.models says so"
            )

    def priority(self, asked: str | None) -> Priority:
        """The priority of a request.

        Args:
            asked: what the request says; None where it says nothing.

        Raises:
            InvalidInput: it is no priority.
            Forbidden: it is higher than the caller may ask for.
        """
        settings = self.settings
        if asked is None:
            return settings.priority
        wanted = next((each for each in PRIORITIES if each == asked), None)
        if wanted is None:
            raise InvalidInput(
                f'the priority is "{cut(asked)}", expected one of {", ".join(PRIORITIES)}'
            )
        if is_above(wanted, settings.most_urgent):
            raise Forbidden(
                f'caller "{self.name}" asked for the priority {wanted} and may have '
                f"{settings.most_urgent} at most; access.callers.{self.name}.highest_priority says "
                "so"
            )
        return wanted

    def peer(self, peer: str) -> str:
        """The connection as one of the caller's, so that its connections share what it is given."""
        return f"caller={self.name}:{peer.replace(':', '.')}"


class KnowsTokens(Protocol):
    """Knows who bears a token."""

    def name_of(self, token: str) -> str | None:
        """The name of a caller; None where nobody bears it."""
        ...


# Contract: a token decides where there is one; else a certificate. No text holds a part of either.
class Grants:
    """Knows the callers.

    Args:
        callers: by their names.
        tokens: None where certificates alone show who somebody is.
    """

    def __init__(
        self, callers: Mapping[str, CallerSettings], tokens: KnowsTokens | None = None
    ) -> None:
        self._tokens = tokens
        self._by_name = {name: _grant(name, settings) for name, settings in callers.items()}
        self._by_subject = {
            subject: self._by_name[name]
            for name, settings in callers.items()
            for subject in settings.subjects
        }

    def of(self, authorization: str | None, subjects: tuple[str, ...] = ()) -> Grant:
        """What the caller may do.

        Args:
            authorization: what the call brings under this key; None where it brings nothing.
            subjects: of the client's certificate, which was verified.

        Raises:
            Unauthenticated: nothing shows who the caller is.
            Forbidden: the caller is known and has no section.
        """
        if authorization is None:
            granted = (self._by_subject.get(each) for each in subjects)
            grant = next((each for each in granted if each is not None), None)
            if grant is None:
                raise Unauthenticated(_UNKNOWN_SUBJECT if subjects else _NOTHING)
            return grant
        scheme, _, token = authorization.partition(" ")
        name = None
        if scheme.lower() == "bearer" and self._tokens is not None:
            name = self._tokens.name_of(token.strip())
        if name is None:
            raise Unauthenticated(_UNKNOWN_TOKEN)
        if (grant := self._by_name.get(name)) is None:
            raise Forbidden(
                f'caller "{name}" is known and may do nothing here, expected a section '
                f"[access.callers.{name}]"
            )
        return grant


def _grant(name: str, settings: CallerSettings) -> Grant:
    limits = QuotaLimits(settings.max_concurrent, settings.requests_per_s, settings.rows_per_s)
    return Grant(name, settings, Quota(name, limits))


_EXPECTED: Final = (
    "expected authorization: Bearer TOKEN with a token of batchproof-server token add, or a client "
    "certificate of a caller that is configured"
)
_NOTHING: Final = f"the call brings nothing that shows who calls, {_EXPECTED}"
_UNKNOWN_TOKEN: Final = f"the call brings an authorization that is not known here, {_EXPECTED}"
_UNKNOWN_SUBJECT: Final = f"the client's certificate is of nobody who is known here, {_EXPECTED}"
