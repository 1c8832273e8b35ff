"""In process or over HTTP: the same verbs, the same parameters, the same answers and errors."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.e2e import servers

import palio
from palio.access.domain import Role, required_role
from palio.client.remote import Connection, remote_verbs
from palio.edge.routes import ROUTES
from palio.edge.verbs import NOUNS
from palio.errors import (
    PalioError,
    StoreUnavailable,
)

from .stories import HERE, STORY, WRONG, Step

# their bodies are not parameters, or their answers no JSON
OWN_WAY = {("versions", "register"), ("versions", "fetch"), ("outcomes", "record")}
VERBS = [
    (noun, name)
    for noun, kind in NOUNS.items()
    for name, member in inspect.getmembers(kind, inspect.isfunction)
    if not name.startswith("_") and hasattr(member, "required_role")
]


def test_every_public_verb_says_who_may() -> None:
    unmarked = {
        (noun, name)
        for noun, kind in NOUNS.items()
        for name, _ in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and (noun, name) not in VERBS
    }
    assert unmarked == {
        ("keys", "authenticate"),
        ("keys", "configured"),
        ("keys", "ring"),
    }  # what the door asks


def test_every_verb_has_one_address() -> None:
    routed = [(route.noun, route.verb) for route in ROUTES]
    assert sorted([*routed, *OWN_WAY]) == sorted(VERBS)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_every_address_belongs_to_its_verb() -> None:
    for route in ROUTES:
        assert route.in_path <= route.parameters.keys(), route
        assert route.role is required_role(route.function)
        if route.method in ("GET", "DELETE"):  # a query holds plain values only
            assert not route.has_body
        reading = route.role is Role.VIEWER or route.verb == "list"
        assert (route.method == "GET") <= reading, route


@pytest.fixture
def unreachable() -> Iterator[Connection]:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there", request=request)

    connection = Connection("http://palio.example", transport=httpx.MockTransport(refuse))
    yield connection
    connection.close()


@pytest.mark.parametrize(("noun", "verb"), VERBS)
def test_parameters_are_those_of_the_verb(unreachable: Connection, noun: str, verb: str) -> None:
    remote = getattr(getattr(remote_verbs(unreachable), noun), verb)
    local = inspect.signature(getattr(NOUNS[noun], verb))
    wanted = [name for name in local.parameters if name != "self"]
    with pytest.raises(TypeError):
        remote(*range(len(wanted) + 1))
    with pytest.raises(TypeError):
        remote(**dict.fromkeys(wanted, "m:v"), nonsense=1)
    needed = [name for name in wanted if local.parameters[name].default is inspect.Parameter.empty]
    for name in needed:
        with pytest.raises(TypeError):
            remote(**{other: "m:v" for other in needed if other != name})
    if (noun, verb) not in OWN_WAY:
        with pytest.raises(StoreUnavailable):  # it got as far as the network
            remote(**dict.fromkeys(needed, "m:v"))


def test_nouns_have_no_more_and_no_fewer_verbs(unreachable: Connection) -> None:
    remote = remote_verbs(unreachable)
    for noun in NOUNS:
        found = {name for name in vars(getattr(remote, noun)) if not name.startswith("_")}
        assert found == {verb for its, verb in VERBS if its == noun}
        assert noun in repr(getattr(remote, noun))


@contextmanager
def backend(kind: str, world_files: Path, folder: Path) -> Iterator[palio.Palio]:
    shutil.copytree(world_files, folder)
    store = str(folder / "palio.db")
    with palio.connect(store, actor="local") as opened:
        secret = opened.keys.create("local", Role.ADMIN).secret
        if kind == "in process":
            yield opened
            return
    with servers.serving(store) as address, palio.connect(address, key=secret) as opened:
        yield opened


def normal(answer: Any) -> Any:
    """Return an answer as JSON without what differs between two runs: times and made-up ids."""
    text = msgspec.json.encode(answer, order="sorted").decode()
    timed = r'("digest":|"path":"metadata.json","sha256":)"[0-9a-f]{64}"'  # the time is in there
    text = re.sub(timed, r'\1"DIGEST"', text)
    text = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"WHEN"', text)
    return re.sub(r'"(key|salt|req|out)_[0-9a-f]{32}"', r'"\1"', text)


def test_a_story_goes_the_same_way(
    world_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIO_SOURCE_ROOTS", str(HERE.parent))
    monkeypatch.setenv("PALIO_RETENTION_DAYS", "30")
    told: dict[str, list[Any]] = {}
    for kind in ("in process", "over HTTP"):
        with backend(kind, world_files, tmp_path / kind.replace(" ", "-")) as opened:
            told[kind] = [(type(a := step(opened)), normal(a)) for step in STORY]
    for number, (here, there) in enumerate(zip(*told.values(), strict=True)):
        assert here == there, f"step {number}"


def test_every_verb_is_in_the_story() -> None:
    called = {name for step in STORY for name in names_in(step.__code__)}
    assert {verb for _, verb in VERBS} - called == {"complete", "ship"}


def names_in(code: Any) -> set[str]:
    inner = [names_in(one) for one in code.co_consts if inspect.iscode(one)]
    own = set(code.co_names) | ({"record"} if "labels" in code.co_names else set())
    return own.union(*inner)


def test_errors_are_the_same(world_files: Path, tmp_path: Path) -> None:
    told: dict[str, list[Any]] = {}
    for kind in ("in process", "over HTTP"):
        with backend(kind, world_files, tmp_path / kind.replace(" ", "-")) as opened:
            told[kind] = [failure(step, opened) for _, step in WRONG]
    for (kind_of_error, _), here, there in zip(WRONG, *told.values(), strict=True):
        assert here == there
        assert here[0] is kind_of_error, here


def failure(step: Step, opened: palio.Palio) -> tuple[type[PalioError], str, str]:
    with pytest.raises(PalioError) as caught:
        step(opened)
    return type(caught.value), caught.value.message, normal(caught.value.details)
