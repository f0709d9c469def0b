"""Fetches pinned packages by npm itself, wherever that is set up to fetch from, into .cache/.

Nothing of them is run or installed: tests read files out of them.
"""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"


def pack(package: str, folder: Path) -> Path:
    """The archive of `name@version`, put into a folder. Raises SystemExit with what to do."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is missing: install Debian's package npm, then run this again.")
    command = [npm, "pack", package, "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise SystemExit(f"npm could not fetch {package}:\n{done.stderr.strip()}")
    return archives[0]


def member(archive: Path, name: str) -> bytes:
    """A file out of a package. Raises SystemExit when it has none of this name."""
    with tarfile.open(archive) as opened:
        try:
            found = opened.extractfile(name)
        except KeyError:
            found = None
        if found is None:
            raise SystemExit(f"{archive.name} has no {name}.")
        return found.read()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
