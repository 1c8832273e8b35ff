"""Every line of bad input: a clear error with its stable code, and nothing half done.

Each is tried on the command line against a file and against a server, and over bare HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import skops.io

import palio
from palio import platform
from palio.cli.app import run

from .worlds import World, serve

LIMIT = 4_096  # bytes of a body, so that little is too much
MANY = json.dumps([[number, 0.5, 0.25] for number in range(600)])


@dataclass(frozen=True, slots=True)
class Place:
    """Where bad input is tried: a store, and a folder with files to send."""

    store: str
    folder: Path

    @property
    def artifacts(self) -> Path:
        """Where the files of versions lie."""
        return Path(self.store).with_name("palio-artifacts")

    @property
    def version(self) -> Path:
        """Folder of credit:v1's files."""
        return self.artifacts / "credit" / "v1"


Change = Callable[[Place], None]
Request = Callable[[World], httpx.Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of bad input, and what must come of it.

    ``prepare`` brings about what is bad; ``command`` and ``request`` are how it is asked for,
    where that is possible.
    """

    code: str
    status: int
    exit_code: int
    said: str
    command: tuple[str, ...] = ()
    request: Request | None = None
    prepare: Change = field(default=lambda _: None)
    in_process: bool = True


def register(world: World) -> httpx.Response:
    draft = msgspec.json.encode({"version": "v1", "flavor": "sklearn"}).decode()
    files = [("files", ("model.skops", b"x"))]
    return world.http.post("/v1/models/credit/versions", data={"draft": draft}, files=files)


def uneven(world: World) -> httpx.Response:
    variants = [
        {"key": "control", "version": "v1", "weight": 0.45},
        {"key": "challenger", "version": "v2", "weight": 0.5},
    ]
    design = {"key": "e", "endpoint": "credit", "variants": variants}
    return world.post("/v1/experiments", design | {"metrics": {"goal": "brier"}})


def flip(place: Place) -> None:
    file = place.version / "model.skops"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def grow(place: Place) -> None:
    with (place.version / "model.skops").open("ab") as file:
        file.write(b"\0")


def remove(place: Place) -> None:
    (place.version / "model.skops").unlink()


def swap(place: Place) -> None:
    """Put another version there, files and manifest and all."""
    other = place.version.with_name("v2")
    for name in ("model.skops", "manifest.json"):
        (place.version / name).write_bytes((other / name).read_bytes())


def write(place: Place) -> None:
    (place.folder / "model.skops").write_bytes(b"x")


def known(place: Place) -> None:
    with palio.connect(place.store) as opened:
        opened.predict("credit", [[1, 2, 3]], request_id="known")


def tampered(prepare: Change, said: str) -> Case:
    return Case(
        code="corrupt_artifact",
        status=500,
        exit_code=6,
        said=said,
        command=("predict", "credit", "[[1, 2, 3]]"),
        request=lambda world: world.predict([1, 2, 3]),
        prepare=prepare,
    )


def table(place: Place, header: str, target: Callable[[int], int]) -> None:
    lines = [f"{number / 7:.3f},{target(number)}" for number in range(60)]
    (place.folder / "data.csv").write_text("\n".join([header, *lines]))


TRAIN = ("train", "{folder}/data.csv", "--target", "default", "--model", "new", "--register")
PLAIN = ("--flavor", "plain")
CASES = {
    "duplicate version": Case(
        code="already_exists",
        status=409,
        exit_code=4,
        said="credit:v1 exists, and versions never change; register under another version",
        command=(*("models", "register", "credit", "{folder}"), *PLAIN, "--version", "v1"),
        request=register,
        prepare=write,
    ),
    "unknown reference": Case(
        code="not_found",
        status=404,
        exit_code=3,
        said="credit has no version 'v9'; `palio models versions credit` shows them",
        command=("models", "show", "credit:v9"),
        request=lambda world: world.http.get("/v1/versions/credit:v9"),
    ),
    "illegal transition": Case(
        code="illegal_transition",
        status=409,
        exit_code=4,
        said="credit:v2 cannot go from development to archived; allowed from development: "
        "validation, testing, staging, production, failed",
        command=("models", "move", "credit:v2", "archived"),
        request=lambda world: world.post(
            "/v1/versions/credit:v2/move", {"stage": "archived"}
        ),
    ),
    "weights": Case(
        code="invalid_weights",
        status=422,
        exit_code=2,
        said="must sum to 1, got 0.95",
        command=("experiments", "draft", "e", "--endpoint", "credit", "--goal", "brier",
                 "--variant", "control=v1:0.45", "--variant", "challenger=v2:0.5"),
        request=uneven,
    ),
    "corrupt artifact": tampered(flip, "model.skops is not what was registered"),
    "artifact that grew": tampered(grow, "it has grown"),
    "artifact that is gone": tampered(remove, "the file is missing"),
    "artifact of another version": tampered(swap, "is not what was registered"),
    "CSV without the target": Case(
        code="invalid_data",
        status=0,
        exit_code=2,
        said="column 'default' is not in the table; its columns are: debt, paid",
        command=TRAIN,
        prepare=lambda place: table(place, "debt,paid", lambda number: number % 2),
    ),
    "single-class target": Case(
        code="invalid_data",
        status=0,
        exit_code=2,
        said="default",
        command=TRAIN,
        prepare=lambda place: table(place, "debt,default", lambda _: 1),
    ),
    "outcome of the wrong type": Case(
        code="invalid_outcome",
        status=422,
        exit_code=2,
        said="outcome 0: the label 'yes' is none of the classes 0, 1 of credit:v1",
        command=("outcomes", "record", "yes", "--request-id", "known"),
        request=lambda world: world.post(
            "/v1/outcomes", {"request_id": "known", "value": "yes"}
        ),
        prepare=known,
    ),
    "body too large": Case(
        code="too_large",
        status=413,
        exit_code=2,
        said=f"the body is larger than {LIMIT} bytes; send less at once",
        command=("predict", "credit", MANY),
        request=lambda world: world.predict(*json.loads(MANY)),
        in_process=False,  # where there is no body
    ),
}  # fmt: skip


def traces(place: Place) -> tuple[Any, ...]:
    """Return what a half-done change would leave: records, audit entries, files."""
    with palio.connect(place.store) as opened:
        versions = [opened.versions.list(model.name) for model in opened.models.list()]
        endpoints, experiments = opened.endpoints.list(), opened.experiments.list()
        checked = opened.audit.verify()
    files = sorted(path.relative_to(place.artifacts) for path in place.artifacts.rglob("*"))
    return versions, endpoints, experiments, checked, files


@pytest.fixture
def place(home: str, tmp_path: Path) -> Place:
    (tmp_path / "given").mkdir()
    return Place(home, tmp_path / "given")


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(platform, arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.in_process])
def test_on_a_file(name: str, place: Place, cli: Cli) -> None:
    case = CASES[name]
    case.prepare(place)
    before = traces(place)
    check_command(case, place, cli, place.store)
    assert traces(place) == before


@pytest.mark.parametrize("name", CASES)
def test_on_a_server(name: str, place: Place, cli: Cli) -> None:
    case = CASES[name]
    case.prepare(place)
    before = traces(place)
    with serve(place.store, body_limit_bytes=LIMIT) as world:
        check_command(case, place, cli, world.address)
        if case.request is not None:
            check_http(case, case.request(world))
    assert traces(place) == before


def check_http(case: Case, answer: httpx.Response) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (case.status, case.status)
    assert problem["code"] == case.code
    assert answer.headers["content-type"] == "application/problem+json"
    assert case.said in problem["detail"]
    assert "Traceback" not in answer.text


def check_command(case: Case, place: Place, cli: Cli, store: str) -> None:
    command = [word.replace("{folder}", str(place.folder)) for word in case.command]
    code, out, err = cli("--store", store, *command)
    assert (code, out) == (case.exit_code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert case.said in err
    code, out, err = cli("--store", store, *command, "--json")
    assert (code, out) == (case.exit_code, "")
    assert json.loads(err)["code"] == case.code


@pytest.mark.parametrize("prepare", [flip, grow, remove, swap])
def test_a_corrupt_artifact_is_not_read_as_a_model(
    place: Place, cli: Cli, prepare: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("bytes that were tampered with became a model")

    monkeypatch.setattr(skops.io, "loads", read)
    monkeypatch.setattr(skops.io, "get_untrusted_types", read)
    prepare(place)
    assert cli("--store", place.store, "predict", "credit", "[[1, 2, 3]]")[0] == 6
