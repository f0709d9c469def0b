"""Puts Twilio's own OpenAPI file into .cache/, where the contract tests look for it.

The file is not ours to ship, so it is taken out of the npm package that Twilio publishes, by npm
itself, and only used when its hash is the pinned one. Does nothing when it is there already.

    python -m tests.support.fetch_twilio_contract
"""

import sys
import tempfile
from pathlib import Path

from tests.support import npm

PACKAGE = "@twilio/cli-core@8.3.2"
MEMBER = "package/src/services/twilio-api/twilio_api_v2010.json"
SHA256 = "7f123267c8dd60bd5412ed723cc021f0e58d52b635e8fad41f72c4a3dda9e77e"
TARGET = npm.CACHE / "twilio_api_v2010.json"


def is_right(content: bytes) -> bool:
    return npm.sha256(content) == SHA256


def main() -> int:
    if TARGET.exists() and is_right(TARGET.read_bytes()):
        return 0
    sys.stdout.write(f"fetching Twilio's OpenAPI file from {PACKAGE} …\n")
    with tempfile.TemporaryDirectory() as folder:
        content = npm.member(npm.pack(PACKAGE, Path(folder)), MEMBER)
    if not is_right(content):
        raise SystemExit("Twilio's OpenAPI file is not the pinned one: nothing was stored.")
    TARGET.parent.mkdir(exist_ok=True)
    partial = TARGET.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(TARGET)
    sys.stdout.write(f"stored {TARGET}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
