"""The digest of raw outputs, which shows whether a change of the server changed an answer."""

import pytest

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.backend import EngineSettings
from batchproof_server.models.discovery import discover
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.loading import load_version
from output_digest import BUNDLE, PICTURES, answers, digest, main, pictures, rows_of

# The benchmark takes the library that the model was made with, and no proof.
TENSORFLOW = Config(engine=EngineSettings(name="tensorflow"))


@pytest.fixture(scope="module")
def proven() -> LoadedModel:
    return load_version(discover(BUNDLE)[0], loading_plugs(TENSORFLOW))


def digests(model: LoadedModel) -> list[str]:
    rows = rows_of(model, pictures(PICTURES))
    assert len(rows) == 50
    return [digest(answers(model.backend, rows, bucket_rows)) for bucket_rows in (2, 32)]


def test_two_runs_print_the_same_digests(
    proven: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    main([])
    printed = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]

    assert printed == digests(proven)


def test_buckets_of_one_class_of_the_certificate_give_every_row_the_same_bits(
    proven: LoadedModel,
) -> None:
    assert proven.certificate is not None
    small, large = digests(proven)

    # Elsewhere they may be of two classes; the certificate then says so.
    one_class = any({2, 32} <= set(each) for each in proven.certificate.measured.classes)
    assert small == large or not one_class
