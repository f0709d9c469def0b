"""Brings the catalogues of bridge/locale up to date with the sentences in the code.

    python tools/catalogue.py          adds new sentences, empty, and drops those that are gone
    python tools/catalogue.py --check  only tells what is missing; status 1 if anything is
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCALES = ROOT / "bridge" / "locale"
HEADER = 'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"MIME-Version: 1.0\\n"\n' + (
    '"Content-Type: text/plain; charset=UTF-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
)


def sentences(folder: Path = ROOT) -> dict[tuple[str, str], set[str]]:
    """Every sentence marked by `tr` (plural empty) or `trn`, and the files that say it."""
    found: dict[tuple[str, str], set[str]] = {}
    for package in ("bridge", "adapters"):
        for path in sorted((folder / package).rglob("*.py")):
            for key in _marked(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(key, set()).add(str(path.relative_to(folder)))
    return found


def _marked(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        count = {"tr": 1, "trn": 2}.get(node.func.id, 0)
        texts = [arg.value for arg in node.args[:count] if isinstance(arg, ast.Constant)]
        if count and len(texts) == count:
            yield (texts[0], texts[1] if count == 2 else "")


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from bridge.po import entries

    wanted = sentences()
    missing = 0
    for path in sorted(LOCALES.glob("*/LC_MESSAGES/passerelle.po")):
        present = dict(entries(path.read_text(encoding="utf-8")))
        empty = [one for one, many in wanted if not present.get(f"{one}\0{many}" if many else one)]
        missing += len(empty)
        for sentence in empty:
            sys.stdout.write(f"{path.parent.parent.name}: {sentence}\n")
        if "--check" not in sys.argv:
            path.write_text(_catalogue(path.parent.parent.name, wanted, present), encoding="utf-8")
    return 1 if missing and "--check" in sys.argv else 0


def _catalogue(language: str, wanted: dict[tuple[str, str], set[str]], present: dict[str, str]) -> str:
    texts = [HEADER.format(language=language)]
    for (one, many), files in sorted(wanted.items(), key=lambda item: (min(item[1]), item[0])):
        lines = [f"#: {' '.join(sorted(files))}", f"msgid {_quoted(one)}"]
        if many:
            forms = present.get(f"{one}\0{many}", "\0").split("\0")
            lines += [f"msgid_plural {_quoted(many)}"]
            lines += [f"msgstr[{number}] {_quoted(form)}" for number, form in enumerate(forms)]
        else:
            lines += [f"msgstr {_quoted(present.get(one, ''))}"]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


if __name__ == "__main__":
    sys.exit(main())
