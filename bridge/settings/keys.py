"""The master key, and the keys derived from it: one for each purpose, so that none vouches for another."""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.settings.read import Settings

_LENGTH = 32  # bytes


def master_key(settings: Settings) -> bytes:
    """The key from [gateway].key, else from data_dir/key, which the first run makes (mode 0600).

    Raises OSError if the file can be neither read nor made, ValueError if it holds too little.
    """
    if settings.gateway.key is not None:
        return settings.gateway.key.get_secret_value().encode()
    path = settings.gateway.data_dir / "key"
    if not path.exists():
        _make(path)
    key = path.read_bytes().strip()
    if len(key) < _LENGTH:
        raise ValueError(f"{path} holds no whole key: restore it from a backup, or remove it for a new one")
    return key


def derive(master: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose (HKDF-SHA256, RFC 5869)."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=_LENGTH, salt=None, info=b"passerelle " + purpose.encode())
    return kdf.derive(master)


def _make(path: Path) -> None:
    """Written whole under another name first: a crash leaves no half key, two starters agree on one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"key.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(_LENGTH).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails if another was faster, which is as good
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink()
