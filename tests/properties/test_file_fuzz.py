"""Laws of a bundle's files: whatever stands in them, a version is loaded, or refused in words."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.backends.affine import kind as affine
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.validation import parse_settings
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import LoadingPlugs, load_version
from batchproof_server.observing.prometheus.drift_series import ReferenceSeries
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.settings import Progress, ProofSettings
from support.corpus import kept_if_it_fails, short_or_long, stored
from support.fuzzed_texts import changed_texts

DATA: Final = Path(__file__).resolve().parents[1] / "data"
GOOD: Final = DATA / "0.1.0" / "models" / "affine" / "1"
PLACE: Final = ("affine", 1)
KINDS: Final = {
    "manifests": "batchproof.toml",
    "profiles": "profile.json",
    "certificates": "certificate.json",
}
STORED: Final = {kind: stored(kind) for kind in KINDS}
# Of the parsers, of the language and of this machine: words that no sentence for people has.
INTERNALS: Final = (
    "Traceback", "object at 0x", "<class", "recursion", "dictionary", "pydantic", "NoneType",
    "codec", "sys.",
)  # fmt: skip


@dataclass(frozen=True)
class Loading:
    """A good bundle of which one file is replaced, and this server's own certificates."""

    bundle: Path
    own: Path
    plugs: LoadingPlugs = field(repr=False)
    told: list[str] = field(repr=False)

    def load(self, kind: str, content: bytes) -> None:
        """Loads the version; or it is refused, and each finding is a sentence for people."""
        file = self._file(kind)
        before = file.read_bytes() if file.exists() else None
        file.write_bytes(content)
        try:
            self._load()
        finally:
            file.unlink() if before is None else file.write_bytes(before)

    def _file(self, kind: str) -> Path:
        """Only the certificates that lie among the server's own are looked at to the end."""
        if kind == "certificates":
            return self.own / "{}-{}.json".format(*PLACE)
        return self.bundle / KINDS[kind]

    def _load(self) -> None:
        self.told.clear()
        try:
            model = load_version(Place(*PLACE, self.bundle), self.plugs)
        except ModelRefused as refused:
            texts = (str(refused), *refused.findings)
        else:
            texts = model.profile_findings
            if model.profile is not None:
                ReferenceSeries.of(("affine", "1"), model.profile)
            model.backend.close()
        for text in (*texts, *self.told):
            assert text.strip()
            assert not [word for word in INTERNALS if word in text], text


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> Loading:
    """Of the smallest model, which is proven in milliseconds."""
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copytree(GOOD, folder / "bundle")
    (folder / "own").mkdir()
    config = Config(proof=ProofSettings(certificate_directory=str(folder / "own")))
    told: list[str] = []

    def tell(progress: Progress) -> None:
        if progress.detail:
            told.append(progress.detail)

    plugs = replace(loading_plugs(config, tell), kinds=(affine.KIND,))
    return Loading(folder / "bundle", folder / "own", plugs, told)


def bases(kind: str) -> list[bytes]:
    return [(GOOD / KINDS[kind]).read_bytes(), *STORED[kind].values()]


def sealed(content: bytes) -> bytes:
    """The certificate with the digest of its content, which is no secret; or as it was."""
    with suppress(ValueError, AttributeError, RecursionError, TypeError):
        values = json.loads(content)
        for name in ("digest", "signature"):
            values.pop(name, None)
        return parse_settings(Certificate, values).to_json().encode()
    return content


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, files in STORED.items() for name in files]
)
def test_a_stored_file_is_read_or_refused_in_words(loading: Loading, kind: str, name: str) -> None:
    loading.load(kind, STORED[kind][name])


@pytest.mark.parametrize("kind", ["manifests", "profiles"])
@short_or_long()
@given(data=st.data())
def test_any_file_is_read_or_refused_in_words(
    loading: Loading, kind: str, data: st.DataObject
) -> None:
    content = data.draw(changed_texts(bases(kind)))
    with kept_if_it_fails(kind, content):
        loading.load(kind, content)


@short_or_long()
@given(changed_texts(bases("certificates")), st.sampled_from((bytes, sealed)))
def test_any_certificate_is_believed_or_the_model_is_proven_anew(
    loading: Loading, content: bytes, seal: Callable[[bytes], bytes]
) -> None:
    content = seal(content)
    with kept_if_it_fails("certificates", content):
        loading.load("certificates", content)
