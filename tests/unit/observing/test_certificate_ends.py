"""Until when certificates hold is a metric, of the files as they are."""

from pathlib import Path

import pytest

from batchproof_server.observing.prometheus.certificate_ends import CertificateEnds

CERTIFICATE = Path(__file__).parents[2] / "data/tls/certificate.pem"
OTHER = Path(__file__).parents[2] / "wire/client/certificate/certificate.pem"
# As `openssl x509 -enddate` says.
NOT_AFTER_S = 4_948_924_459.0


def ends_s(collector: CertificateEnds) -> dict[str, float]:
    (family,) = collector.collect()
    return {sample.labels["port"]: sample.value for sample in family.samples}


def test_each_port_has_the_end_of_its_certificate() -> None:
    assert ends_s(CertificateEnds({"grpc": CERTIFICATE})) == {"grpc": NOT_AFTER_S}


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "certificate.pem"
    file.write_bytes(OTHER.read_bytes())
    collector = CertificateEnds({"web": file})
    before = ends_s(collector)
    file.write_bytes(CERTIFICATE.read_bytes())

    assert ends_s(collector) != before
    assert ends_s(collector) == {"web": NOT_AFTER_S}


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x00" * 5_000_000])
def test_what_is_no_certificate_has_no_series_and_the_others_stay(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "bad.pem").write_bytes(content)
    collector = CertificateEnds({"grpc": tmp_path / "bad.pem", "web": CERTIFICATE})

    assert ends_s(collector) == {"web": NOT_AFTER_S}
