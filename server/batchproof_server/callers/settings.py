"""What may be set about callers."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.priorities import Priority, is_above
from batchproof_server.base.validation import NO_UNKNOWN_KEYS

MethodKind: TypeAlias = Literal["predict", "read", "report", "manage"]
"""Of methods: those that predict; those that say what is served, reflection too; those that report
outcomes; and those that change what is served."""

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SUBJECT: Final = re.compile(r"(CN|SAN)=.{1,256}")


@dataclass(frozen=True, slots=True)
class CallerSettings:
    """What one caller may do.

    Attributes:
        subjects: of client certificates that show it, as ``CN=shop`` or ``SAN=shop.example``.
        methods: kinds of methods.
        models: by their names; empty allows all.
        max_concurrent: requests that are answered at the same time; 0: any number.
        requests_per_s: on average, a second's worth at once; 0: any number.
        rows_per_s: of answered requests, on average; 0: any number.
        priority: of requests that ask for none.
        highest_priority: that a request may ask for; None: ``priority``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    subjects: tuple[str, ...] = ()
    methods: tuple[MethodKind, ...] = ("predict", "read")
    models: tuple[str, ...] = ()
    max_concurrent: int = 0
    requests_per_s: float = 0.0
    rows_per_s: float = 0.0
    priority: Priority = "default"
    highest_priority: Priority | None = None

    def __post_init__(self) -> None:
        for subject in self.subjects:
            if not _SUBJECT.fullmatch(subject):
                raise ValueError(f"subjects: {subject!r}, expected such as CN=shop or SAN=shop.org")
        if self.max_concurrent < 0:
            raise ValueError(f"max_concurrent is {self.max_concurrent}, expected 0 or more")
        for name in ("requests_per_s", "rows_per_s"):
            rate = getattr(self, name)
            if not 0 <= rate < math.inf:
                raise ValueError(f"{name} is {rate}, expected 0 or more, and finite")
        if is_above(self.priority, self.most_urgent):
            raise ValueError(
                f"priority is {self.priority} and highest_priority {self.highest_priority}, which "
                "is less, expected none or one that is higher"
            )

    @property
    def most_urgent(self) -> Priority:
        """The highest priority that a request may ask for."""
        return self.highest_priority or self.priority


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may call. Without a caller everybody may.

    Attributes:
        tokens_file: what ``batchproof-server token`` writes; empty: certificates only.
        callers: by their names.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    tokens_file: str = ""
    callers: Mapping[str, CallerSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.callers:
            if not NAME.fullmatch(name):
                expected = "expected 1 to 64 letters, digits, dots, hyphens or underscores"
                raise ValueError(f"callers: {name!r} is no name, {expected}")
        if self.tokens_file and not self.callers:
            raise ValueError("tokens_file is set and no caller may do anything: expected callers")
        shown = [subject for each in self.callers.values() for subject in each.subjects]
        if len(set(shown)) < len(shown):
            raise ValueError("callers: a subject stands for two callers, expected one")

    @property
    def is_on(self) -> bool:
        """Whether callers have to show who they are."""
        return bool(self.callers)
