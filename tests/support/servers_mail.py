"""Private Dovecot (IMAP and LMTP) and Postfix for tests, from Debian's packages."""

import grp
import os
import pwd
import shutil
import smtplib
from collections.abc import Mapping, Sequence

from bridge.demo.private import LOOPBACK, PrivateServer, ServerError, answers

DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:{folder}/mail/%n
mail_fsync = never
mail_max_userip_connections = 200
# Nothing may change root without being root.
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp_port}
  }}
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%n
}}
"""

POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.test
mydomain = example.test
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
transport_maps = inline:{{ {routes} }}
alias_maps =
alias_database =
local_recipient_maps =
smtp_host_lookup = native
disable_dns_lookups = yes
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
biff = no
{extra}
"""

# The services of Debian's own master.cf that a relay needs; none of them in a chroot.
POSTFIX_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60   1 pickup
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n 2    1 qmgr
tlsmgr    unix  - - n 1000 1 tlsmgr
rewrite   unix  - - n -    - trivial-rewrite
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
verify    unix  - - n -    1 verify
flush     unix  n - n 1000 0 flush
proxymap  unix  - - n -    - proxymap
proxywrite unix - - n -    1 proxymap
smtp      unix  - - n -    - smtp
lmtp      unix  - - n -    - lmtp
relay     unix  - - n -    - smtp
showq     unix  n - n -    - showq
error     unix  - - n -    - error
retry     unix  - - n -    - error
discard   unix  - - n -    - discard
anvil     unix  - - n -    1 anvil
scache    unix  - - n -    1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Dovecot(PrivateServer):
    """Dovecot 2.3 with mailboxes (user → password) reached by IMAP, filled by LMTP or `deliver`.

    LMTP takes a mailbox's name at any domain.
    """

    name = "dovecot"
    port_count = 2

    def __init__(self, users: Mapping[str, str]) -> None:
        super().__init__()
        self.imap_port, self.lmtp_port = self.ports
        self._users = dict(users)

    def prepare(self) -> None:
        for name in ("run", "state", "mail"):
            (self.folder / name).mkdir()
        passwords = "".join(f"{user}:{{PLAIN}}{password}::::::\n" for user, password in self._users.items())
        (self.folder / "users").write_text(passwords, encoding="utf-8")
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        configuration = DOVECOT.format(
            folder=self.folder,
            user=user.pw_name,
            group=grp.getgrgid(user.pw_gid).gr_name,
            uid=user.pw_uid,
            gid=user.pw_gid,
            imap_port=self.imap_port,
            lmtp_port=self.lmtp_port,
        )
        (self.folder / "dovecot.conf").write_text(configuration, encoding="utf-8")

    def command(self) -> Sequence[str]:
        return ("/usr/sbin/dovecot", "-F", "-c", str(self.folder / "dovecot.conf"))

    def ready(self) -> bool:
        imap = answers(self.imap_port, b"1 NOOP\r\n", b"1 OK")
        return imap and answers(self.lmtp_port, b"QUIT\r\n", b"221 ")

    def close(self) -> None:
        self.kill()  # to end in order takes it a second, and nothing of it is kept
        super().close()

    def deliver(self, user: str, raw: bytes) -> None:
        """Put a mail into a user's INBOX, by LMTP as a mail server would."""
        with smtplib.LMTP(LOOPBACK, self.lmtp_port) as lmtp:
            lmtp.sendmail("postmaster@example.test", [user], raw)


class Postfix(PrivateServer):
    """Postfix 3.7 that takes mail from loopback and passes it on by its routes (domain → port).

    The route `*` is for all other domains. Needs root: its master process insists on it.
    """

    name = "postfix"
    demoted = False

    def __init__(self, routes: Mapping[str, int], *, protocol: str = "smtp", extra: str = "") -> None:
        super().__init__()
        self.port = self.ports[0]
        table = ", ".join(
            f"{{ {domain} = {protocol}:[{LOOPBACK}]:{port} }}" for domain, port in routes.items()
        )
        self._main = POSTFIX_MAIN.format(folder=self.folder, routes=table, extra=extra)

    def prepare(self) -> None:
        if not os.path.exists("/usr/sbin/postfix"):
            raise ServerError("Postfix is not installed: `tools/install-packages.sh test` does it")
        self.folder.chmod(0o755)
        for name in ("etc", "data", "spool"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.copy("/etc/postfix/postfix-files", self.folder / "etc")
        (self.folder / "etc/main.cf").write_text(self._main, encoding="utf-8")
        (self.folder / "etc/master.cf").write_text(POSTFIX_MASTER.format(port=self.port), encoding="utf-8")
        self.run_as_owner("/usr/sbin/postfix", "-c", str(self.folder / "etc"), "check")  # makes its folders

    def command(self) -> Sequence[str]:
        # Its master itself: the script that usually starts it would take our signals and keep them.
        return ("/usr/lib/postfix/sbin/master", "-s", "-c", str(self.folder / "etc"))

    def ready(self) -> bool:
        return answers(self.port, b"QUIT\r\n", b"221 ", patience=5.0)
