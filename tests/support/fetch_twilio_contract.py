"""Puts Twilio's own OpenAPI file into .cache/, where the contract tests look for it.

The file is not ours to ship, so it is taken out of the npm package that Twilio publishes, by npm
itself, and only used when its hash is the pinned one. Does nothing when it is there already.

    python tests/support/fetch_twilio_contract.py
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@twilio/cli-core@8.3.2"
MEMBER = "package/src/services/twilio-api/twilio_api_v2010.json"
SHA256 = "7f123267c8dd60bd5412ed723cc021f0e58d52b635e8fad41f72c4a3dda9e77e"
TARGET = Path(__file__).resolve().parents[2] / ".cache" / "twilio_api_v2010.json"


def is_right(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == SHA256


def download(folder: Path) -> bytes:
    """The OpenAPI file's content, fetched by npm. Raises SystemExit with what to do."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is missing: install Debian's package npm, then run this again.")
    command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise SystemExit(f"npm could not fetch {PACKAGE}:\n{done.stderr.strip()}")
    with tarfile.open(archives[0]) as archive:
        member = archive.extractfile(MEMBER)
        if member is None:
            raise SystemExit(f"{PACKAGE} has no {MEMBER}.")
        return member.read()


def main() -> int:
    if TARGET.exists() and is_right(TARGET.read_bytes()):
        return 0
    sys.stdout.write(f"fetching Twilio's OpenAPI file from {PACKAGE} …\n")
    with tempfile.TemporaryDirectory() as folder:
        content = download(Path(folder))
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
