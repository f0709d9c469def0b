"""The units and examples that we ship: systemd takes them, they are hardened, and they agree."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bridge.settings import load

ROOT = Path(__file__).parents[2]
UNITS = ("passerelle.service", "passerelle-migrate.service")

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_in_a_unit(unit: str) -> None:
    answer = run("systemd-analyze", "verify", str(ROOT / "systemd" / unit))

    assert answer.returncode == 0, answer.stderr
    assert unit not in answer.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_exposed_under_two(unit: str) -> None:
    answer = run("systemd-analyze", "security", "--offline=true", str(ROOT / "systemd" / unit))

    found = re.search(r"exposure level for \S+: (\d+\.\d)", answer.stdout)
    assert found is not None, answer.stderr
    assert float(found.group(1)) < 2.0


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_the_account_and_the_folders_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    users = run("systemd-sysusers", f"--root={tmp_path}", str(ROOT / "systemd/passerelle.sysusers.conf"))
    folders = run(
        "systemd-tmpfiles", "--create", f"--root={tmp_path}", str(ROOT / "systemd/passerelle.tmpfiles.conf")
    )

    assert users.returncode == 0, users.stderr
    assert "passerelle:" in (tmp_path / "etc/passwd").read_text()
    assert folders.returncode == 0, folders.stderr
    assert (tmp_path / "etc/passerelle").is_dir()


def credentials_of(unit: str) -> set[str]:
    text = (ROOT / "systemd" / unit).read_text()
    return set(re.findall(r"^LoadCredential=(\S+)$", text, re.MULTILINE))


def test_every_credential_of_the_example_is_loaded_by_the_unit() -> None:
    used = set(re.findall(r'credential = "([a-z-]+)"', (ROOT / "config/passerelle.toml").read_text()))

    assert used <= credentials_of("passerelle.service")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The annotated example, with its secrets in a folder of the test's own."""
    secrets = (
        "mail.secret",
        "sms.secret",
        "smtp.secret",
        "imap.secret",
        "twilio-token",
        "passerelle-key",
        "address-book.secret",
    )
    for name in secrets:
        (tmp_path / name).write_text(f"the secret called {name}, which is long enough\n")
    key = rsa.generate_private_key(65537, 2048)
    as_text = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "dkim.pem").write_bytes(key.private_bytes(*as_text))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    text = (ROOT / "config/passerelle.toml").read_text().replace("/etc/passerelle/", f"{tmp_path}/")
    path = tmp_path / "passerelle.toml"
    path.write_text(text)
    return path


def test_the_annotated_settings_are_in_order(example: Path) -> None:
    settings = load(example)

    assert list(settings.transports) == ["mail", "sms"]
    assert settings.warnings == ()


def test_what_is_commented_out_in_the_example_is_in_order_too(example: Path) -> None:
    example.write_text(re.sub(r"^#(?=[a-z\[])", "", example.read_text(), flags=re.MULTILINE))

    assert list(load(example).transports) == ["mail", "sms"]


def test_the_snippets_agree_with_the_settings() -> None:
    data = tomllib.loads((ROOT / "config/passerelle.toml").read_text())
    prosody = (ROOT / "config/prosody.cfg.lua").read_text()
    (ejabberd,) = yaml.safe_load((ROOT / "config/ejabberd.yml").read_text())["listen"]
    postfix = {name: (ROOT / "config/postfix" / name).read_text() for name in ("main.cf", "transport")}
    nginx = (ROOT / "config/nginx.conf").read_text()

    jids = [transport["jid"] for transport in data["transport"].values()]
    assert re.findall(r'^Component "(.+)"', prosody, re.MULTILINE) == jids
    assert list(ejabberd["hosts"]) == jids
    assert f"component_ports = {{ {data['xmpp']['port']} }}" in prosody
    assert ejabberd["port"] == data["xmpp"]["port"]
    mail = data["transport"]["mail"]
    host, _, port = mail["inbound"]["listen"].partition(":")
    assert f"{mail['domains'][0]}    smtp:[{host}]:{port}\n" in postfix["transport"]
    assert f"relay_domains = {mail['domains'][0]}\n" in postfix["main.cf"]
    limit = re.search(r"^message_size_limit = (\d+)", postfix["main.cf"], re.MULTILINE)
    assert limit is not None
    assert int(limit.group(1)) == mail["inbound"]["max_megabytes"] * 1024 * 1024
    assert f"proxy_pass http://{data['web']['listen']};" in nginx
    assert f"server_name {data['gateway']['public_url'].removeprefix('https://')};" in nginx


@pytest.mark.skipif(shutil.which("luac5.4") is None, reason="luac5.4 is not installed")
def test_the_prosody_snippet_is_lua() -> None:
    answer = run("luac5.4", "-p", str(ROOT / "config/prosody.cfg.lua"))

    assert answer.returncode == 0, answer.stderr
