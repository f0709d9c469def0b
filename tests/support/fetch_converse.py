"""Puts converse.js, a web client that we did not write, into .cache/, where the client tests serve it from.

It is not ours to ship, so npm fetches the package that its authors publish, and it is only unpacked when
its hash is the pinned one. Does nothing when it is there already.

    python -m tests.support.fetch_converse
"""

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.support import npm

PACKAGE = "converse.js@14.0.0"
SHA256 = "634f31fa0f7b0e47f1abc60d870ff6805c737577399920ebe92da4c7e5bcaff0"
TARGET = npm.CACHE / PACKAGE
_WANTED = "package/dist/"


def unpack(archive: Path, folder: Path) -> None:
    """What a browser loads, without the maps for debuggers, which are most of it."""
    with tarfile.open(archive) as opened:
        for one in opened:
            content = opened.extractfile(one) if one.name.startswith(_WANTED) else None
            if content is not None and ".map" not in one.name:
                path = folder / one.name.removeprefix(_WANTED)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())


def main() -> int:
    if TARGET.is_dir():
        return 0
    sys.stdout.write(f"fetching {PACKAGE} …\n")
    TARGET.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET.parent) as folder:
        archive = npm.pack(PACKAGE, Path(folder))
        if npm.sha256(archive.read_bytes()) != SHA256:
            raise SystemExit(f"{PACKAGE} is not the pinned one: nothing was stored.")
        partial = Path(folder) / "unpacked"
        unpack(archive, partial)
        shutil.move(partial, TARGET)
    sys.stdout.write(f"stored {TARGET}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
