"""``palio audit``: queries, exports, keys, checkpoints, on real files and through a server."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e import servers
from tests.e2e.worlds import World

import palio
from palio import platform
from palio.cli.app import run

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(platform, [str(one) for one in arguments])
        sys.stdout.flush()
        said = capfdbinary.readouterr()
        out, err = said.out.decode(), said.err.decode()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture
def signed(home: str, tmp_path: Path, cli: Cli) -> dict[str, Path]:
    """A store with a checkpoint, its keys, and an export that was made after it."""
    paths = {name: tmp_path / name for name in ("key", "key.pub", "head", "log")}
    assert cli("audit", "keygen", paths["key"])[0] == 0
    written = cli("--store", home, "audit", "checkpoint", "--key", paths["key"], "--out",
                  paths["head"])  # fmt: skip
    assert written[0] == 0
    with palio.connect(home) as opened:
        opened.models.create("later")
    assert cli("--store", home, "audit", "export", paths["log"])[0] == 0
    return paths


def against(signed: dict[str, Path]) -> list[object]:
    return ["--checkpoint", signed["head"], "--public-key", signed["key.pub"]]


def execute(store: str, *statements: str) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_entries_are_found(home: str, cli: Cli) -> None:
    def found(*options: str) -> list[tuple[str, str]]:
        code, out, err = cli("--store", home, "audit", "list", "--json", *options)
        assert (code, err) == (0, "")
        return [(entry["action"], entry["subject"]) for entry in json.loads(out)]

    with palio.connect(home, actor="eve") as opened:
        opened.models.create("other")
    everything = found()
    assert found("--model", "other") == found("--actor", "eve") == [("model.create", "other")]
    assert found("--model", "credit") == everything[:-1]
    assert found("--action", "version.register") == [
        ("version.register", "credit:v1"),
        ("version.register", "credit:v2"),
    ]
    assert found("--action", "endpoint", "--model", "credit") == [("endpoint.create", "credit")]
    assert found("--since", "2020-01-01", "--until", "2999-12-31T23:59:59+09:00") == everything
    assert found("--until", "2020-01-01T00:00:00Z") == found("--since", "2999-01-01") == []
    assert found("--after", "1", "--limit", "2") == everything[1:3]


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_moment(home: str, cli: Cli, text: str) -> None:
    code, _, err = cli("--store", home, "audit", "list", "--since", text)
    assert code == 2
    assert err == (
        f"error: since is {text!r}, which is no day or moment; write 2026-11-01 or "
        "2026-11-01T12:00:00Z\n"
    )


def test_an_export_is_checked_without_the_store(
    signed: dict[str, Path], cli: Cli, tmp_path: Path
) -> None:
    count = len(signed["log"].read_bytes().splitlines())
    nowhere = tmp_path / "nowhere" / "palio.db"  # opening it would fail
    plain = cli("--store", nowhere, "audit", "verify", "--file", signed["log"])
    assert plain == (0, f"{count} entries, the chain holds\n", "")
    code, out, _ = cli("audit", "verify", "--file", signed["log"], *against(signed))
    assert code == 0
    assert f"{count} entries, the chain holds and contains the checkpoint of 2" in out
    assert f"at entry {count - 1}\n" in out


def test_an_export_to_standard_output_is_the_same(
    signed: dict[str, Path], home: str, cli: Cli
) -> None:
    code, out, err = cli("--store", home, "audit", "export", "-")
    assert (code, err) == (0, "")
    assert out.encode() == signed["log"].read_bytes()


def test_an_export_replaces_the_one_before(
    signed: dict[str, Path], home: str, cli: Cli, tmp_path: Path
) -> None:
    whole = signed["log"].read_bytes()
    signed["log"].write_bytes(b"old")
    code, out, _ = cli("--store", home, "audit", "export", signed["log"])
    assert (code, out) == (0, f"{len(whole.splitlines())} entries are in {signed['log']}\n")
    assert signed["log"].read_bytes() == whole
    assert stat.S_IMODE(signed["log"].stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".*"))  # nothing is left aside


def test_an_export_that_fails_leaves_what_was_there(home: str, cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"old")
    execute(home, "UPDATE audit_entries SET before = '{' WHERE seq = 2")
    code, out, err = cli("--store", home, "audit", "export", log)
    assert (code, out) == (6, "")
    assert err.startswith("error: the audit log has an entry that cannot be read: ")
    assert log.read_bytes() == b"old"
    assert not list(tmp_path.glob(".*"))


def test_export_and_checkpoint_through_a_server(
    world: World, signed: dict[str, Path], cli: Cli, tmp_path: Path
) -> None:
    """The store of the server and the one opened in process are the same file."""
    log, head = tmp_path / "remote.log", tmp_path / "remote.head"
    assert cli("--store", world.address, "audit", "export", log)[0] == 0
    assert log.read_bytes() == signed["log"].read_bytes()
    made = cli("--store", world.address, "audit", "checkpoint", "--json", "--key", signed["key"],
               "--out", head)  # fmt: skip
    assert made[0] == 0
    assert json.loads(made[1]) == json.loads(head.read_bytes())
    for command in (["--store", world.address, "audit", "verify"],
                    ["audit", "verify", "--file", log]):  # fmt: skip
        code, out, _ = cli(*command, "--checkpoint", head, "--public-key", signed["key.pub"])
        assert code == 0
        assert "contains the checkpoint" in out
    short = signed["log"].read_bytes().splitlines(keepends=True)[:-1]
    log.write_bytes(b"".join(short))
    code, _, err = cli("audit", "verify", "--file", log, "--checkpoint", head, "--public-key",
                       signed["key.pub"])  # fmt: skip
    assert (code, "are missing at the end" in err) == (1, True)


CUT = (
    "DELETE FROM audit_entries WHERE seq > 2",
    "UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit_entries WHERE seq = 2)",
)


def test_a_cut_tail_is_found_against_the_checkpoint(
    signed: dict[str, Path], home: str, cli: Cli
) -> None:
    execute(home, *CUT)
    assert cli("--store", home, "audit", "verify") == (0, "2 entries, the chain holds\n", "")
    code, out, err = cli("--store", home, "audit", "verify", *against(signed))
    entries = json.loads(signed["head"].read_bytes())["entries"]
    assert (code, out) == (1, "")
    assert err == (
        f"entry 3: entries 3 to {entries} are missing at the end: "
        f"{entries} entries are known from elsewhere\n"
    )


def test_a_rewrite_is_found_against_the_checkpoint(
    signed: dict[str, Path], home: str, cli: Cli
) -> None:
    """The log is written anew from its start, with another actor, by Palio itself."""
    with palio.connect(home) as opened:
        count = len(opened.audit.list())
    execute(
        home, "DELETE FROM audit_entries",
        f"UPDATE audit_head SET seq = 0, hash = '{'0' * 64}'",
    )  # fmt: skip
    with palio.connect(home, actor="eve") as opened:
        for number in range(count):
            opened.models.create(f"m{number}")
    assert cli("--store", home, "audit", "verify")[0] == 0
    code, _, err = cli("--store", home, "audit", "verify", *against(signed))
    assert code == 1
    assert err.startswith(f"entry {count - 1}: its hash is ")
    assert err.endswith("the log was rewritten here or before\n")
    told = cli("--store", home, "audit", "verify", "--json", *against(signed))
    assert (told[0], json.loads(told[1])["broken"]["seq"]) == (1, count - 1)


def test_a_forged_log_is_not_signed(
    signed: dict[str, Path], home: str, cli: Cli, tmp_path: Path
) -> None:
    execute(home, "UPDATE audit_entries SET actor = 'eve' WHERE seq = 2")
    out = tmp_path / "second"
    code, _, err = cli(
        "--store", home, "audit", "checkpoint", "--key", signed["key"], "--out", out
    )
    assert code == 4
    assert "entry 2 does not hold: its content was edited; nothing was signed" in err
    assert not out.exists()


def test_keys_are_their_owners_alone(signed: dict[str, Path], cli: Cli, tmp_path: Path) -> None:
    assert stat.S_IMODE(signed["key"].stat().st_mode) == 0o600
    assert signed["key"].read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert signed["key.pub"].read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----\n")
    code, out, err = cli("audit", "keygen", tmp_path / "other", "--json")
    assert (code, err) == (0, "")
    paths = {"private": str(tmp_path / "other"), "public": str(tmp_path / "other.pub")}
    assert json.loads(out) == paths
    secret = (tmp_path / "other").read_text().splitlines()[1]
    assert secret not in out


@pytest.mark.parametrize("taken", ["pair", "pair.pub"])
def test_a_key_is_never_replaced(cli: Cli, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"old")
    code, _, err = cli("audit", "keygen", tmp_path / "pair")
    assert code == 4
    assert (
        err == f"error: file: {tmp_path / taken} exists and is not replaced; give another path\n"
    )
    assert [path.name for path in tmp_path.glob("pair*")] == [taken]
    assert (tmp_path / taken).read_bytes() == b"old"


def test_a_checkpoint_is_never_replaced(signed: dict[str, Path], home: str, cli: Cli) -> None:
    before = signed["head"].read_bytes()
    code, _, err = cli("--store", home, "audit", "checkpoint", "--key", signed["key"], "--out",
                       signed["head"])  # fmt: skip
    assert (code, "out: " in err, signed["head"].read_bytes()) == (4, True, before)


def test_a_key_that_others_may_read_is_refused(
    signed: dict[str, Path], home: str, cli: Cli, tmp_path: Path
) -> None:
    signed["key"].chmod(0o640)
    code, _, err = cli("--store", home, "audit", "checkpoint", "--key", signed["key"], "--out",
                       tmp_path / "x")  # fmt: skip
    assert code == 2
    assert f"run `chmod 600 {signed['key']}`" in err


UNUSABLE = {
    "verify --file none": "error: file: none: No such file or directory; check the path",
    "verify --file .": "error: file: .: Is a directory; check the path",
    "verify --checkpoint head": "error: --public-key is missing; give both",
    "verify --public-key key.pub": "error: --checkpoint is missing; give both",
    "verify --checkpoint none --public-key key.pub": "error: checkpoint: none: No such file",
    "verify --checkpoint head --public-key none": "error: public_key: none: No such file",
    "verify --checkpoint log --public-key key.pub": "the checkpoint cannot be read",
    "verify --checkpoint head --public-key key": "public_key is no Ed25519 public key",
    "checkpoint --key none --out x": "error: key: none: No such file",
    "checkpoint --key text --out x": "key is no Ed25519 private key in PEM",
    "checkpoint --key key --out none/x": "error: out: none/x: No such file",
    "export none/x": "error: file: none/x: No such file",
    "export folder": "Is a directory; check the path",
    "keygen none/x": "error: file: none/x: No such file",
}


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize("arguments", UNUSABLE)
def test_what_cannot_be_used_is_named(
    home: str, cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    folder = Path(home).parents[1]  # where the signed files are
    monkeypatch.chdir(folder)
    (folder / "folder" / "full").mkdir(parents=True)
    (folder / "text").write_bytes(b"no key")
    (folder / "text").chmod(0o600)
    before = sorted(path.name for path in folder.iterdir())
    code, _, err = cli("--store", home, "audit", *arguments.split())
    assert code == 2, err
    assert UNUSABLE[arguments] in err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_log_is_read_in_flat_memory(tmp_path: Path) -> None:
    """50,000 entries take as much memory as 2,000 to write and to check."""
    peaks = []
    for count in (2_000, 50_000):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(tmp_path / "log"), str(count)],
            capture_output=True,
            text=True,
            check=True,
            env=servers.environment(),
        )
        peaks.append(int(done.stdout))
    assert (tmp_path / "log").stat().st_size > 10_000_000
    assert peaks[1] - peaks[0] < 1_000_000  # bytes


MEASURE = """
import sys, tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from palio.access.audit import GENESIS, Change, line_of, seal
from palio.cli.evidence import check_file, write_lines
path, count = Path(sys.argv[1]), int(sys.argv[2])
change = Change(at=datetime(2026, 1, 1, tzinfo=UTC), actor="ann", action="a.b", subject="m")

def lines():
    last = GENESIS
    for seq in range(1, count + 1):
        entry = seal(change, seq=seq, prev_hash=last)
        last = entry.hash
        yield line_of(entry)

tracemalloc.start()
assert write_lines(path, lines()) == count
assert check_file(path, None).entries == count
print(tracemalloc.get_traced_memory()[1])
"""


def test_an_export_can_be_cut_off_by_its_reader(home: str) -> None:
    """It ends without a word, and with the 1 that Click gives to a closed pipe."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "palio", "--store", home, "audit", "export", "-"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=servers.environment(),
        timeout=servers.PATIENCE_S,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
