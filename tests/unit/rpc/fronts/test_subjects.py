"""Who a client's certificate is of, as gRPC and as TLS of the standard library tell it."""

import asyncio
from typing import Any

import pytest

from batchproof_server.rpc.fronts.certificates import subjects_in
from batchproof_server.web.rest.certificates import subjects_of

NAMES = ("CN=shop", "SAN=shop.example", "SAN=spiffe://shop")


@pytest.mark.parametrize("as_text", [True, False])
def test_names_that_grpc_knows_are_forms_of_the_configuration(*, as_text: bool) -> None:
    known = {
        "x509_common_name": [b"shop"],
        "x509_subject_alternative_name": [b"shop.example", b"spiffe://shop"],
        "transport_security_type": [b"ssl"],
    }
    context: Any = known if as_text else {key.encode(): value for key, value in known.items()}
    assert subjects_in(context) == NAMES
    assert subjects_in({}) == ()


class _Shown(asyncio.BaseTransport):
    def __init__(self, certificate: dict[str, Any] | None) -> None:
        super().__init__({"peercert": certificate})


def test_names_that_the_web_port_knows_are_the_same_forms() -> None:
    certificate = {
        "subject": ((("countryName", "XX"),), (("commonName", "shop"),)),
        "subjectAltName": (("DNS", "shop.example"), ("URI", "spiffe://shop")),
    }
    assert subjects_of(_Shown(certificate)) == NAMES
    assert subjects_of(_Shown(None)) == subjects_of(_Shown({})) == ()
