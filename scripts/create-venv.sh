#!/bin/sh
# Create .venv in the current directory with the first Python that can: $PYTHON if it is set,
# otherwise the newest of the versions the pinned wheels are checked on, then any other.
set -u

candidates="python3.14 python3.13 python3.12 python3.11 python3 python"
new_enough='import sys; raise SystemExit(sys.version_info < (3, 11))'
complete='import ensurepip, venv'

say() { printf '%s\n' "$@" >&2; }

if "./.venv/bin/python" -c "$new_enough; import pip" 2>/dev/null; then
    exit 0
fi

found=""
incomplete=""
try() {
    "$1" -c "$new_enough" >/dev/null 2>&1 || return 1
    if "$1" -c "$complete" >/dev/null 2>&1; then found="$1"; else incomplete="${incomplete:-$1}"; fi
    [ -n "$found" ]
}

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON"
else
    for candidate in $candidates; do
        try "$candidate" && break
    done
fi

if [ -z "$found" ] && [ -n "$incomplete" ]; then
    version=$("$incomplete" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "$incomplete is Python $version, but its modules venv and ensurepip are not installed." \
        "Install them, then run make again:" \
        "  Debian, Ubuntu    sudo apt install python$version-venv" \
        "  Fedora            sudo dnf install python$version" \
        "  macOS             install Python from python.org or with Homebrew" \
        "or point at another Python: make PYTHON=/path/to/python3 ..."
    exit 1
fi
if [ -z "$found" ]; then
    say "No Python 3.11 or newer found${PYTHON:+ at PYTHON=$PYTHON}." \
        "Install one, then run make again:" \
        "  Debian, Ubuntu    sudo apt install python3 python3-venv" \
        "  Fedora            sudo dnf install python3" \
        "  macOS             install Python from python.org or with Homebrew" \
        "or point at one: make PYTHON=/path/to/python3 ..."
    exit 1
fi

say "Creating .venv with $found ($("$found" -c 'import platform; print(platform.python_version())'))"
exec "$found" -m venv --clear .venv
