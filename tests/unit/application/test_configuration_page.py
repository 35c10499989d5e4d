import re
from dataclasses import asdict
from pathlib import Path

from batchproof_server.application.config import Config, read_config

PAGE = Path(__file__).resolve().parents[3] / "docs/configuration.md"


def _defaults_block() -> str:
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"## Every key with its default\n\n```toml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block.group(1)


def test_the_page_shows_every_key_with_its_default(tmp_path: Path) -> None:
    file = tmp_path / "page.toml"
    file.write_text(_defaults_block(), encoding="utf-8")

    assert read_config(file, {}) == Config()

    for section, settings in asdict(Config()).items():
        assert f"[{section}]" in file.read_text(encoding="utf-8")
        for key, value in settings.items():
            if key == "connections":
                assert all(f"\n{each} = " in file.read_text(encoding="utf-8") for each in value)
            else:
                assert key == "tls" or f"\n{key} = " in file.read_text(encoding="utf-8")


def test_the_tls_example_is_understood(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"## TLS\n\n```toml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    file = tmp_path / "tls.toml"
    file.write_text(block.group(1), encoding="utf-8")

    tls = read_config(file, {}).rpc.tls

    assert tls is not None
    assert tls.client_ca == Path("clients.pem")
