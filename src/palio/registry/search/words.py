"""A text becomes words; what is wrong is told with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from palio.errors import InvalidInput
from palio.registry.requirements import nearest
from palio.registry.search.fields import FIELDS, MAPS, MAX_NAME, Kind, kind_of

__all__ = ["Reader", "Word"]

_MAX_LENGTH = 4_000
_AROUND = 24  # characters shown before and after the place of an error
_WORD = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?(?![\w.]))
      | (?P<name>[^\W\d][\w-]*(?:\.(?:\w[\w.-]*|"[^"]+"|`[^`]+`))?)
      | (?P<mark><=|>=|!=|<>|==|[<>=(),])""",
    re.VERBOSE | re.IGNORECASE,
)
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of the text: ``word`` is it in small letters, ``text`` as it was written."""

    kind: str
    text: str
    place: int

    @property
    def word(self) -> str:
        """What it is compared with; nothing for a text in quotes, which is no keyword."""
        return "" if self.kind == "text" else self.text.lower()


class Reader:
    """Goes through the words of a text, one at a time.

    Parameters
    ----------
    source
        What the text is: the name of the parameter that errors tell.
    text
        The text.
    """

    def __init__(self, source: Literal["where", "order"], text: str) -> None:
        self._source, self._text = source, text
        if len(text) > _MAX_LENGTH:
            raise self.wrong(f"it has {len(text)} characters, of at most {_MAX_LENGTH}", 0)
        odd = re.search(r"[\0\ud800-\udfff]", text)
        if odd is not None:
            raise self.wrong("this character cannot be searched for", odd.start())
        self._words = self._split()
        self.now = next(self._words)

    def skip(self) -> Word:
        """Go on to the next word and return the one left behind."""
        behind = self.now
        self.now = next(self._words, behind)
        return behind

    def take(self, word: str) -> bool:
        """Go on if the present word is this one."""
        found = self.now.word == word
        if found:
            self.skip()
        return found

    def expect(self, word: str, told: str) -> None:
        """Go on if the present word, or its kind, is this one; raise if it is not."""
        if word not in (self.now.word, self.now.kind):
            raise self.unexpected(told)
        self.skip()

    def field(self) -> tuple[str, Kind]:
        """Read the name of a field, and return it with what the field holds."""
        if self.now.kind != "name":
            raise self.unexpected("the name of a field")
        start, dot, name = self.now.text.partition(".")
        if name[:1] in ('"', "`"):
            name = name[1:-1]
        field = start.lower() + dot + name
        kind = kind_of(field)
        if kind is None:
            raise self._no_field(start.lower(), name)
        if len(field) > MAX_NAME:
            raise self.wrong(f"names have at most {MAX_NAME} characters")
        self.skip()
        return field, kind

    def unexpected(self, told: str) -> InvalidInput:
        """Return the error that something else was expected here."""
        found = "the end" if self.now.kind == "end" else repr(self.now.text[: 2 * _AROUND])
        return self.wrong(f"expected {told}, found {found}")

    def wrong(self, problem: str, place: int | None = None) -> InvalidInput:
        """Return the error for a place in the text: where the present word is, by default."""
        at = self.now.place if place is None else place
        before, after = self._text[max(0, at - _AROUND) : at], self._text[at : at + _AROUND]
        around = f"{before}»{after}".encode(errors="replace").decode()
        near = f", near {around!r}" if self._text.strip() else ""
        return InvalidInput(
            f"{self._source}: {problem}; at character {at + 1}{near}",
            field=self._source,
            position=at + 1,
        )

    def _no_field(self, start: str, name: str) -> InvalidInput:
        if start in MAPS:
            return self.wrong(f'{start} needs a name, as in {start}.x or {start}."x y"')
        tail = f".{name}" if name else ""
        known = [*FIELDS, *(f"{one}{tail}" for one in MAPS)]
        hint = nearest(start + tail, known).rstrip(".") or f"; there are {', '.join(known)}"
        return self.wrong(f"no field is named {start + tail!r}{hint}")

    def _split(self) -> Iterator[Word]:
        place = self._skipped(0)
        while place < len(self._text):
            found = _WORD.match(self._text, place)
            if found is None:
                raise self._unreadable(place)
            yield Word(found.lastgroup or "", found.group(), place)
            place = self._skipped(found.end())
        yield Word("end", "", len(self._text))

    def _skipped(self, place: int) -> int:
        found = _SPACE.match(self._text, place)
        return place if found is None else found.end()

    def _unreadable(self, place: int) -> InvalidInput:
        mark = self._text[place]
        if mark == "'":
            return self.wrong(
                "this quote is not closed; a quote inside a text is written ''", place
            )
        if mark in '"`':
            return self.wrong(
                f"{mark} stands around names, as in metrics.{mark}roc auc{mark}; "
                "texts stand in single quotes",
                place,
            )
        return self.wrong(f"{mark!r} has no meaning here", place)
