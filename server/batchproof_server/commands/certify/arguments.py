"""The arguments of ``batchproof-server certify``."""

from pathlib import Path
from typing import Any

from batchproof_server.backends import plug_list
from batchproof_server.commands.arguments import add_bundle, add_config


def add_certify(commands: Any) -> None:
    """Adds the command."""
    certify = commands.add_parser(
        "certify",
        help="prove one bundle and print its certificate",
        description="Audits, repairs in memory, compiles and probes BUNDLE. The verdict is PROVEN "
        "(read and probed), PROBED (the audit left something undecided, so that only the probes "
        "speak) or UNPROVEN. Exits with 0 and a certificate, with 1 and findings, or with 2 for "
        "wrong usage. PROBED is 1 where the configuration says proof.allow_probed = false.",
    )
    add_bundle(certify)
    certify.add_argument("--json", action="store_true", help="print the certificate as JSON")
    certify.add_argument(
        "--engine",
        choices=tuple(plug_list.ENGINES),
        help="prove it on this engine (the first that passes)",
    )
    certify.add_argument(
        "--measure",
        action="store_true",
        help="prove it on every engine, and print what each bucket takes alone on this machine",
    )
    certify.add_argument(
        "--verbose", action="store_true", help="name every repair, also where many are alike"
    )
    certify.add_argument(
        "--consistency", choices=("strict", "tolerant"), help="which buckets may be served (strict)"
    )
    certify.add_argument(
        "--write",
        action="store_true",
        help="keep the certificate in the bundle, for people and pipelines; `serve` proves anew",
    )
    certify.add_argument(
        "--sign",
        type=Path,
        metavar="KEYFILE",
        help="sign the certificate with this private key (Ed25519, PEM) and keep it in the bundle; "
        "a `serve` on the same kind of machine that names the public key in proof.trusted_keys "
        "then skips the probes",
    )
    add_config(certify)
