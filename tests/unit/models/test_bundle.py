"""Bundles: which artefact, labels, and a digest that sees every byte."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchproof_server.backends.keras import kind as keras
from batchproof_server.backends.saved_model import kind as saved_models
from batchproof_server.base.errors import ModelRefused
from batchproof_server.models.bundle import MAX_TEXT_BYTES, read_bundle
from batchproof_server.models.manifest import NO_MANIFEST
from support.bundles_on_disk import LOGITS, write_bundle


def findings(directory: Path) -> tuple[str, ...]:
    with pytest.raises(ModelRefused) as refused:
        read_bundle("m", 1, directory)
    return refused.value.findings


def digest_artefact(artefact: Path) -> str:
    kind = saved_models.KIND if artefact.is_dir() else keras.KIND
    return kind.digest(artefact)


def saved_model(directory: Path) -> Path:
    (directory / "variables").mkdir(parents=True)
    (directory / "assets").mkdir()
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables" / "variables.index").write_bytes(b"index")
    (directory / "assets" / "words.txt").write_bytes(b"words")
    return directory


def test_a_bundle_is_read_with_manifest_labels_and_digest(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "b")
    (directory / "labels.txt").write_bytes(b"\xef\xbb\xbfcat\r\n  owl \n\n")
    bundle = read_bundle("m", 3, directory)
    assert (bundle.name, bundle.version, bundle.backend) == ("m", 3, "affine")
    assert bundle.artefact == directory / "affine.json"
    assert bundle.manifest.output.kind == "logits"
    assert bundle.labels == ("cat", "owl")


def test_a_directory_of_tensorflow_serving_is_accepted_as_it_is(tmp_path: Path) -> None:
    directory = saved_model(tmp_path / "b")
    bundle = read_bundle("m", 1, directory)
    assert (bundle.backend, bundle.artefact) == ("saved_model", directory)
    assert bundle.manifest == NO_MANIFEST
    assert bundle.labels == ()


def test_a_bundle_needs_exactly_one_artefact(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "b")
    (directory / "model.keras").touch()
    files = "model.keras, saved_model.pb, model.xml, model.onnx, affine.json"
    expected = f"expected exactly one of {files}"
    assert findings(directory) == (f"artefact: found model.keras and affine.json, {expected}",)
    for file in ("model.keras", "affine.json"):
        (directory / file).unlink()
    assert findings(directory) == (f"artefact: found none, {expected}",)


def test_labels_may_have_another_name_which_must_exist(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "b", LOGITS.replace("format", 'labels = "x.txt"\nformat'))
    assert findings(directory) == ("x.txt: cannot be read",)
    (directory / "x.txt").write_text("one\n")
    assert read_bundle("m", 1, directory).labels == ("one",)
    (directory / "x.txt").write_bytes(b"\xff\xfe")
    assert findings(directory) == ("x.txt: is not UTF-8 text",)


@pytest.mark.parametrize("name", ["batchproof.toml", "labels.txt"])
def test_a_text_that_is_too_large_is_refused_unread(tmp_path: Path, name: str) -> None:
    directory = write_bundle(tmp_path / "b")
    (directory / name).write_bytes(b"#" * (MAX_TEXT_BYTES + 1))
    assert findings(directory) == (f"{name}: more than {MAX_TEXT_BYTES} bytes",)


def test_a_manifest_that_is_not_text_is_refused(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "b", None)
    (directory / "batchproof.toml").write_bytes(b"\xff")
    assert findings(directory) == ("batchproof.toml: is not UTF-8 text",)
    (directory / "batchproof.toml").unlink()
    (directory / "batchproof.toml").mkdir()
    assert findings(directory) == ("batchproof.toml: cannot be read",)


def test_the_digest_of_a_file_is_known_forever(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"abc")
    expected = hashlib.sha256(b"model.keras\0" + b"3\0" + b"abc").hexdigest()
    assert digest_artefact(tmp_path / "model.keras") == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    file=st.sampled_from(("saved_model.pb", "variables/variables.index", "assets/words.txt")),
    content=st.binary(min_size=1, max_size=9),
)
def test_any_other_content_has_another_digest(
    tmp_path_factory: pytest.TempPathFactory, file: str, content: bytes
) -> None:
    directory = saved_model(tmp_path_factory.mktemp("digest") / "b")
    before = digest_artefact(directory)
    original = (directory / file).read_bytes()
    (directory / file).write_bytes(content)
    assert (digest_artefact(directory) == before) == (content == original)
    (directory / file).write_bytes(original)
    assert digest_artefact(directory) == before


def test_another_name_has_another_digest_and_what_is_not_the_model_has_none(
    tmp_path: Path,
) -> None:
    directory = saved_model(tmp_path / "b")
    before = digest_artefact(directory)
    (directory / "samples").mkdir()
    (directory / "samples" / "1.png").touch()
    (directory / "labels.txt").write_text("cat")
    assert digest_artefact(directory) == before
    variables = directory / "variables"
    (variables / "variables.index").rename(variables / "renamed")
    renamed = digest_artefact(directory)
    assert renamed != before
    (variables / "empty\udcff").touch()  # a name that is not UTF-8
    assert digest_artefact(directory) not in (before, renamed)


def test_bytes_cannot_move_from_one_file_to_the_next_unseen(tmp_path: Path) -> None:
    digests = set()
    for first, second in ((b"ab", b"c"), (b"a", b"bc")):
        directory = saved_model(tmp_path / first.decode())
        (directory / "variables" / "variables.index").write_bytes(first)
        (directory / "variables" / "w").write_bytes(second)
        digests.add(digest_artefact(directory))
    assert len(digests) == 2


def test_an_artefact_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused) as refused:
        digest_artefact(tmp_path / "none")
    assert refused.value.findings == ("artefact: a file of it cannot be read",)


@pytest.mark.parametrize("name", ["labels.txt", "batchproof.toml", "samples/boot.png"])
def test_a_link_that_leads_out_of_the_bundle_is_refused(tmp_path: Path, name: str) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    outside = tmp_path / "outside"
    outside.write_text("secret")
    link = bundle / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    with pytest.raises(ModelRefused) as refused:
        read_bundle("m", 1, bundle)
    (finding,) = refused.value.findings
    assert finding.startswith(f"{name}: is a symbolic link that leads out of the bundle")


def test_links_that_lead_to_each_other_are_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "one").symlink_to("other")
    (bundle / "other").symlink_to("one")
    with pytest.raises(ModelRefused) as refused:
        read_bundle("m", 1, bundle)
    assert len(refused.value.findings) == 2


def test_a_link_inside_the_bundle_is_followed(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "..data").mkdir()
    (bundle / "..data" / "labels.txt").write_text("a\nb\nc\n")
    (bundle / "labels.txt").unlink(missing_ok=True)
    (bundle / "labels.txt").symlink_to(Path("..data") / "labels.txt")
    assert read_bundle("m", 1, bundle).labels == ("a", "b", "c")
