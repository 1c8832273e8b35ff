"""A server takes what it has loaded as staying."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STORY = """
import gc, os, signal
from palio.platform import serve
from palio.settings import Settings

def ready(address):
    print(gc.get_freeze_count() > 10_000, gc.get_threshold()[0], flush=True)
    os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    serve(Settings(store="palio.db", port=0), on_ready=ready)
"""


def test_what_is_loaded_when_a_server_begins_is_not_looked_through_again(tmp_path: Path) -> None:
    script = tmp_path / "story.py"
    script.write_text(STORY)
    ended = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stdout == "True 20000\n", ended.stderr
