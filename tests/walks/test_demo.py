"""The demo is a promise of the README: its scene is played as a user plays it, by the command."""

import subprocess
import sys
from pathlib import Path

from bridge.demo.story import ANSWER, ASK, DOG, DRIPS, FRIDAY, LANDLINE, LATER, NOBODY, STEPS

LONGEST = 180  # seconds; a slow machine, a crash and a restart included


def test_the_scene_happens_and_its_transcript_shows_every_side() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge.demo.scene", "--once"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    left, right = _columns(done.stdout)
    for line in (ASK, DRIPS, DOG):
        assert line in left, "Mira wrote it"
        assert line in right, "and it came out there"
    for line in (ANSWER, FRIDAY, LATER):
        assert line in right, "it was written there"
        assert line in left, "and Mira read it"
    assert left.count("✓✓ receipt") >= 2
    assert f"✗ {NOBODY} does not exist there." in left
    assert "✗ This is a landline" in left
    assert f"Mira → {LANDLINE}" in left
    assert "SIGKILL" in done.stdout
    assert f"All {len(STEPS)} steps" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "┆" not in line)


def _columns(transcript: str) -> tuple[str, str]:
    """What stands left and right, each as one line of words."""
    halves = [line.partition("│") for line in transcript.splitlines() if "│" in line]
    left, right = zip(*((half[0], half[2]) for half in halves), strict=True)
    return " ".join(" ".join(left).split()), " ".join(" ".join(right).split())
