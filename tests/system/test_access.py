"""The example of docs/access.md, as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from system.bundles import EMBEDDED, SAMPLES
from system.conftest import Serve
from system.process import PATIENCE_S, environment, run, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"
PICTURE = next(path for path in sorted(SAMPLES.rglob("*")) if path.is_file())


def test_the_example_of_the_page_does_what_the_page_says(serve: Serve, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (settings,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    config, tokens = tmp_path / "access.toml", tmp_path / "tokens"
    config.write_text(settings.replace('"tokens"', f'"{tokens}"'), encoding="utf-8")
    for name in ("shop", "operator"):
        assert f"$ batchproof-server token add tokens {name} > {name}.token\n" in text
        made = run("token", "add", tokens, name)
        (tmp_path / f"{name}.token").write_text(made.stdout)
        assert made.stdout.strip() not in tokens.read_text()
    assert re.findall(r"^  (\w+)", run("token", "list", tokens).stdout, re.MULTILINE) == [
        "CALLER",
        "shop",
        "operator",
    ]
    variables = {"BATCHPROOF_MANAGEMENT__PORT": "0"}
    server = serve(EMBEDDED, "--config", str(config), variables=variables).wait_serving()

    def predict(*flags: str) -> "subprocess.CompletedProcess[str]":
        return _client("predict", "--server", server.grpc, *flags, str(PICTURE))

    answered = predict("--token-file", str(tmp_path / "shop.token"))
    assert answered.returncode == 0, answered.stderr
    assert "expected authorization: Bearer TOKEN" in _said(predict())
    assert "may call read, manage" in _said(
        predict("--token-file", str(tmp_path / "operator.token"))
    )
    listing = ("ctl", "--server", server.addresses()["management"], "list")
    assert run(*listing).returncode == 1
    assert run(*listing, "--token-file", tmp_path / "operator.token").returncode == 0
    assert run("token", "revoke", tokens, "shop").stdout == "revoked 1 token\n"
    until(
        "the token is unknown",
        lambda: predict("--token-file", str(tmp_path / "shop.token")).returncode,
    )
    secret = (tmp_path / "shop.token").read_text().strip()[len("bp_0123456789ab_") :]
    assert secret not in "".join((*server.out, *server.err))


def _client(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "batchproof_client", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=environment(),
    )


def _said(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode
    return ended.stdout + ended.stderr
