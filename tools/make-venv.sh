#!/usr/bin/env bash
# Makes the virtual environment, or brings it up to date:
#   tools/make-venv.sh FOLDER PYTHON EXTRA      (EXTRA: "" or "[dev]")
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/progress.sh
. tools/progress.sh
folder=$1 python=$2 extra=$3

if ! command -v "$python" >/dev/null; then
    echo "There is no $python here: install Python 3.11 or later, or say make PYTHON=/path/to/python3" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$("$python" --version) is too old: Python 3.11 or later is needed; say make PYTHON=/path/to/it" >&2
    exit 1
fi
if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -c 'import ensurepip' 2>/dev/null || tools/install-packages.sh venv
    "$python" -m venv --clear "$folder"
fi
# Bytecode makes every later start four times faster; some containers switch it off.
unset PYTHONDONTWRITEBYTECODE
progress "Installing Python packages into $folder" \
    "$folder/bin/python" -m pip install --disable-pip-version-check --progress-bar off --editable ".$extra"
