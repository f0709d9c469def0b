"""The settings file: what a good one comes to, and every fault of a bad one, in the words people read."""

import os
import stat
from pathlib import Path

import pytest

from bridge.cli.output import faults_text
from bridge.settings import HostPort, Secrets, Settings, SettingsFaults, inspect, load
from bridge.settings.keys import derive, master_key

GOOD = """
[gateway]
data_dir = "{folder}"
public_url = "https://gateway.example.org/"
admins = ["Admin@Example.org"]
allow = ["example.org", "guest@other.example"]

[xmpp]
domain = "example.org"

[web]
listen = "127.0.0.1:8480"
admin = "[::1]:8481"

[transport.mail]
adapter = "email"
jid = "mail.example.org"
secret = {{ file = "{folder}/mail.secret" }}
domains = ["chat.example.org"]
address = "{{user}}@chat.example.org"

[transport.sms]
adapter = "sms"
provider = "twilio"
jid = "sms.example.org"
secret = "in the file itself"
account_sid = "AC00000000000000000000000000000000"
auth_token = {{ env = "TWILIO_TOKEN" }}
numbers = ["+15550001000"]
"""

# Every mistake is one that somebody has made with some other gateway's settings.
ELEVEN_FAULTS = """\
[gateway]
data_dir = "{folder}"
langage = "de"
keep_bodies_days = "long"
public_url = "http://gateway.example.org"
allow = "example.org"

[xmpp]
port = 99999

[web]
listen = "8480"
admin = "0.0.0.0:8481"

[transport.mail]
adapter = "emial"
jid = "mail.example.org"
secret = {{ file = "{folder}/missing.secret" }}
domains = ["chat.example.org", "other.example.org"]
address = "{{user}}@chat.example.org"
"""

TOLD = """\
{folder}/passerelle.toml: 11 faults
  line  3  gateway.langage: there is no such key
           → did you mean language?
  line  4  gateway.keep_bodies_days: a whole number belongs here, not text
           → write keep_bodies_days = 5
  line  5  gateway.public_url: "http://gateway.example.org" is not encrypted
           → write https:// (plain http is for loopback only)
  line  6  gateway.allow: a list belongs here, not text
           → write allow = ["example.org"]
  line  8  xmpp.domain: it is missing
           → add domain = "example.org"
  line  9  xmpp.port: 99999 is too large
           → write 65535 or less
  line 12  web.listen: "8480" is no host and port
           → write "127.0.0.1:8480" or "[::1]:8480"
  line 13  web.admin: 0.0.0.0 can be reached from other machines, and this listener asks for no password
           → write admin = "127.0.0.1:8481", and come by an SSH tunnel
  line 16  transport.mail.adapter: no adapter "emial" is installed
           → did you mean email?
  line 18  transport.mail.secret: cannot read {folder}/missing.secret: No such file or directory
           → create it, readable by the account that runs passerelle, or name another
  line 20  transport.mail.address: {rule}
           → {advice}"""


def write(folder: Path, text: str, **places: str) -> Path:
    path = folder / "passerelle.toml"
    path.write_text(text.format(folder=folder, **places))
    return path


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWILIO_TOKEN", "t0ken")
    (tmp_path / "mail.secret").write_text("from a file\n")
    return write(tmp_path, GOOD)


def changed(path: Path, *changes: tuple[str, str]) -> Path:
    text = path.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text)
    return path


def told(path: Path) -> list[str]:
    return [f"{fault.line} {fault.key}: {fault.problem} → {fault.remedy}" for fault in inspect(path).faults]


def test_a_good_file_becomes_settings(good: Path, tmp_path: Path) -> None:
    settings = load(good)

    assert settings.gateway.data_dir == tmp_path
    assert settings.gateway.public_url == "https://gateway.example.org"
    assert settings.gateway.admins == ("admin@example.org",)
    assert settings.gateway.allow == ("example.org", "guest@other.example")
    assert (settings.xmpp.host, settings.xmpp.port, settings.xmpp.domain) == (
        "127.0.0.1",
        5347,
        "example.org",
    )
    assert settings.web.listen == HostPort("127.0.0.1", 8480)
    assert settings.web.admin == HostPort("::1", 8481)
    assert [type(own).__name__ for own in settings.transports.values()] == ["EmailSettings", "SmsSettings"]
    assert settings.warnings == ()


def test_secrets_come_from_file_environment_and_text(good: Path) -> None:
    settings = load(good)
    sms = settings.transports["sms"].model_dump()

    assert settings.transports["mail"].secret.get_secret_value() == "from a file"
    assert sms["secret"].get_secret_value() == "in the file itself"
    assert sms["auth_token"].get_secret_value() == "t0ken"


def test_a_secret_comes_from_a_systemd_credential(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "sms-secret").write_text("handed over\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    path = changed(good, ('"in the file itself"', '{ credential = "sms-secret" }'))

    assert load(path).transports["sms"].secret.get_secret_value() == "handed over"


def test_settings_never_show_their_secrets(good: Path) -> None:
    text = repr(load(good))

    assert "from a file" not in text
    assert "t0ken" not in text
    assert "in the file itself" not in text


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, ELEVEN_FAULTS)

    with pytest.raises(SettingsFaults) as caught:
        load(path)

    # The last is the email adapter's own sentence, whose wording is its affair.
    own = caught.value.faults[-1]
    everything = faults_text(path, caught.value.faults)
    assert everything == TOLD.format(folder=tmp_path, rule=own.problem, advice=own.remedy)
    assert "several domains" in own.problem
    assert "{domain}" in own.remedy


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'domain = "example.org"',
            'domain = "exa mple.org"',
            '9 xmpp.domain: "exa mple.org" is no domain → write one such as "example.org"',
        ),
        (
            'admins = ["Admin@Example.org"]',
            'admins = ["example.org"]',
            '5 gateway.admins[1]: "example.org" is no JID → write one such as "admin@example.org"',
        ),
        (
            'admins = ["Admin@Example.org"]',
            'contact = ["mailto:help@example.org", "help@example.org"]',
            '5 gateway.contact[2]: "help@example.org" is no address that people can ask → write one such as '
            '"mailto:help@example.org" or "xmpp:admin@example.org"',
        ),
        (
            "guest@other.example",
            "*.example.org",
            '6 gateway.allow[2]: "*.example.org" is neither a domain nor a JID → names are matched exactly: '
            '"example.org" or "mira@example.org"',
        ),
        (
            'jid = "sms.example.org"',
            'jid = "mail.example.org"',
            "25 transport.sms.jid: [transport.mail] has the same JID → give each transport a JID of its own",
        ),
        (
            'jid = "sms.example.org"',
            'jid = "example.org"',
            "25 transport.sms.jid: this is the XMPP server's own domain → give the transport one of its own, "
            'such as "sms.example.org"',
        ),
        (
            "[transport.sms]",
            "[transport.SMS]",
            '22 transport.SMS: "SMS" cannot name a transport → use lower-case letters, digits, - and _ only: '
            "the name becomes part of URLs",
        ),
        (
            'public_url = "https://gateway.example.org/"',
            "",
            "2 gateway.public_url: it is missing, and [transport.sms] tells it to the provider → write "
            'public_url = "https://gateway.example.org" under [gateway]',
        ),
        (
            'listen = "127.0.0.1:8480"',
            "",
            "11 web.listen: it is missing, and [transport.sms] must be reachable by web-hook → write "
            'listen = "127.0.0.1:8480" under [web], and let your web server pass /hooks/ on to it',
        ),
        (
            'admin = "[::1]:8481"',
            'admin = "127.0.0.1:8480"',
            "13 web.admin: [web].listen has the same address → give it a port of its own, such as "
            '"127.0.0.1:8481"',
        ),
        (
            'adapter = "sms"',
            'adapter = "pigeon"',
            '23 transport.sms.adapter: no adapter "pigeon" is installed → known here: email, sms',
        ),
        (
            'adapter = "sms"',
            "adapter = 3",
            '23 transport.sms.adapter: text in quotation marks belongs here → write adapter = "email" '
            'or "sms"',
        ),
        (
            'env = "TWILIO_TOKEN"',
            'env = "NO_SUCH"',
            "28 transport.sms.auth_token: the environment has no variable NO_SUCH → set it, or use "
            "{ file = … }",
        ),
        (
            'env = "TWILIO_TOKEN"',
            'credential = "twilio"',
            "28 transport.sms.auth_token: no systemd credentials here → start with LoadCredential=twilio:…, "
            "or use { file = … }",
        ),
        (
            'env = "TWILIO_TOKEN"',
            'path = "/x"',
            "28 transport.sms.auth_token: a secret is text, { file = … }, { env = … } or { credential = … } "
            "→ the annotated config/passerelle.toml shows how it is written",
        ),
        (
            '"in the file itself"',
            "42",
            "26 transport.sms.secret: text in quotation marks belongs here, not a number → write secret = "
            '"…"',
        ),
        (
            'numbers = ["+15550001000"]',
            'numbers = ["+15550001000"]\nlimits = { per_minute = 0, per_dya = 9 }',
            "30 transport.sms.limits.per_dya: there is no such key → did you mean per_day?",
        ),
        (
            'provider = "twilio"',
            'provider = "carrier"',
            '24 transport.sms.provider: "carrier" is not among the choices → write "twilio" or "android"',
        ),
        (
            "[web]",
            '[address_book]\nurl = "dav.example.org"\n\n[web]',
            '12 address_book.url: "dav.example.org" is no web address → write one such as '
            '"https://dav.example.org/team/"',
        ),
        (
            "[web]",
            '[address_book]\nurl = "http://dav.example.org/"\nusername = "g"\npassword = "p"\n\n[web]',
            "12 address_book.url: the password would go there in clear → write https://, or name the host in "
            "[gateway].fetch_allow if the way there is private",
        ),
        (
            "[web]",
            '[address_book]\nurl = "https://dav.example.org/"\nusername = "g"\n\n[web]',
            "11 address_book.password: it is missing → write password = "
            '{ file = "/etc/passerelle/address-book" }',
        ),
        (
            "[web]",
            '[address_book]\nusername = "g"\nrefresh_minutes = 0\n\n[web]',
            "11 address_book.url: it is missing, so no address book is read → write url = "
            '"https://dav.example.org/team/" under [address_book]',
        ),
        (
            "[web]",
            "[web",
            "11 : this is not TOML: expected ']' at the end of a table declaration → mend this line; what "
            "follows it has not been read",
        ),
        (
            'domain = "example.org"',
            "domain = example.org",
            "9 : this is not TOML: invalid value → put text in quotation marks",
        ),
        (
            'domain = "example.org"',
            'domain = "example.org"\ndomain = "example.net"',
            "10 : this is not TOML: cannot overwrite a value → this key stands twice: remove one",
        ),
        (
            "data_dir = ",
            'key = "short"\ndata_dir = ',
            "3 gateway.key: the master key has under 32 characters → make one by: openssl rand -hex 32",
        ),
        (
            "data_dir = ",
            'database = "mysql://u:pw@host/db"\ndata_dir = ',
            '3 gateway.database: this database is not known → write "sqlite" for a file in data_dir, or '
            '"postgresql://user@host/name"',
        ),
    ],
)
def test_a_fault_names_line_key_and_remedy(good: Path, old: str, new: str, sentence: str) -> None:
    assert sentence in told(changed(good, (old, new)))


def test_a_fault_about_a_whole_table_is_told_at_the_key_it_means(good: Path) -> None:
    path = changed(good, ('["chat.example.org"]', '["chat.example.org", "b.example.org"]'))

    (fault,) = inspect(path).faults

    assert (fault.line, fault.key) == (20, "transport.mail.address")
    assert "{domain}" in fault.remedy


def test_a_wrong_secret_is_never_repeated(good: Path) -> None:
    path = changed(good, ('"in the file itself"', "123456789"))

    assert not [line for line in told(path) if "123456789" in line]


def test_no_sentence_is_the_validators_jargon(tmp_path: Path) -> None:
    everything = " ".join(told(write(tmp_path, ELEVEN_FAULTS)))

    for jargon in ("Input should", "pydantic", "value_error", "https://errors", "Extra inputs"):
        assert jargon not in everything


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'allow = ["example.org", "guest@other.example"]',
            "allow = []",
            "it is empty, so nobody may register",
        ),
        ('allow = ["example.org", "guest@other.example"]', "", "it is empty, so nobody may register"),
        ("[xmpp]", '[xmpp]\nhost = "10.0.0.7"', "component connections are not encrypted"),
        ("[gateway]", '[gateway]\ndatabase = "postgresql://p@db/p"', "would make a master key of its own"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(good: Path, old: str, new: str, sentence: str) -> None:
    settings = load(changed(good, (old, new)))

    assert [one for one in settings.warnings if sentence in one.problem]


def test_everybody_may_be_admitted_by_a_star(good: Path) -> None:
    settings = load(changed(good, ('["example.org", "guest@other.example"]', '["*"]')))

    assert settings.gateway.allow == ("*",)
    assert settings.warnings == ()


def test_a_file_without_transports_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, '[xmpp]\ndomain = "example.org"\n')

    assert told(path) == [
        "None : there is no transport, so there is nothing to do → add a table [transport.NAME] with "
        'adapter = "email" or "sms"'
    ]


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    (fault,) = inspect(tmp_path / "nowhere.toml").faults

    assert "No such file" in fault.problem


def test_a_file_that_is_not_text_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "passerelle.toml"
    path.write_bytes(b'[gateway]\nlanguage = "\xff"\n')

    assert told(path) == ["2 : this is not UTF-8 text → save the file as UTF-8"]


def test_credentials_are_only_warned_of_where_no_shell_can_see_them(good: Path) -> None:
    path = changed(good, ('env = "TWILIO_TOKEN"', 'credential = "twilio-token"'))

    findings = inspect(path, secrets=Secrets.WITHIN_REACH)

    assert findings.faults == ()
    assert [one.key for one in findings.warnings] == ["transport.sms.auth_token"]


def test_commands_that_need_the_database_alone_read_no_secrets(good: Path, tmp_path: Path) -> None:
    (tmp_path / "mail.secret").unlink()

    assert load(good, secrets=Secrets.NONE).gateway.data_dir == tmp_path


# --- keys ---


@pytest.fixture
def settings(good: Path) -> Settings:
    return load(good)


def test_the_first_run_makes_a_master_key_for_the_owner_alone(settings: Settings, tmp_path: Path) -> None:
    first = master_key(settings)

    assert master_key(settings) == first
    assert len(first) >= 32
    assert stat.S_IMODE(os.stat(tmp_path / "key").st_mode) == 0o600
    assert not list(tmp_path.glob("key.*"))


def test_the_settings_may_name_the_master_key(good: Path, tmp_path: Path) -> None:
    settings = load(changed(good, ("[gateway]", f'[gateway]\nkey = "{"k" * 40}"')))

    assert master_key(settings) == b"k" * 40
    assert not (tmp_path / "key").exists()


def test_half_a_key_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("too short\n")

    with pytest.raises(ValueError, match="restore it from a backup"):
        master_key(settings)


def test_each_purpose_has_a_key_of_its_own() -> None:
    master = b"m" * 32

    assert len(derive(master, "tokens")) == 32
    assert derive(master, "tokens") == derive(master, "tokens")
    assert derive(master, "tokens") != derive(master, "files")
    assert derive(b"n" * 32, "tokens") != derive(master, "tokens")
