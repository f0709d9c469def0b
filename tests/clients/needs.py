"""Tests that need a program say so here: skipped aloud where it is missing, but not in CI."""

import os
import shutil

import pytest


def needs(*programs: str) -> None:
    """Skip the test, with what to do, unless all of these are installed. Fails in CI instead."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        unable(f"not installed: {', '.join(missing)}; `make packages` does it")


def unable(reason: str) -> None:
    """This test cannot run here."""
    if os.environ.get("PASSERELLE_CI"):
        pytest.fail(reason)
    pytest.skip(reason)
