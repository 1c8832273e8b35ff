"""The command ``palio``: the command line face, given its connections."""

from __future__ import annotations

import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command and leave with its exit code."""
    try:
        from palio import platform
        from palio.cli.app import run
        from palio.demo.command import demo

        sys.exit(run(platform, commands=(demo,), groups=platform.groups()))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
