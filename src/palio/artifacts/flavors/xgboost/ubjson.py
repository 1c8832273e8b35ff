"""XGBoost's UBJSON read strictly: every length lies within the file, no name is there twice."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["read"]

_TYPES = {b"i": "i1", b"U": "u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS = {b"T": True, b"F": False, b"Z": None}
_DEEPEST = 32  # a model has 8


def read(content: bytes) -> Any:
    """Return the object that a file holds, its typed arrays as arrays of numpy.

    Raises
    ------
    ValueError
        Naming the byte at which it is none.
    """
    reader = _Reader(content)
    found = reader.value(0)
    if reader.at != len(content):
        raise ValueError(f"something follows at byte {reader.at}")
    return found


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content, self.at = content, 0

    def value(self, depth: int) -> Any:
        marker = self._take(1)
        if depth > _DEEPEST:
            raise self._wrong("nesting")
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker == b"S":
            return self._take(self._length()).decode()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        return self._numbers(marker, 1)[0]

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._ahead() != b"}":
            name = self._take(self._length()).decode()
            if name in found:
                raise self._wrong(f"second {name!r}")
            found[name] = self.value(depth + 1)
        self._take(1)
        return found

    def _array(self, depth: int) -> Any:
        marker = b""
        if self._ahead() == b"$":
            self._take(1)
            marker = self._take(1)
        if marker or self._ahead() == b"#":
            if self._take(1) != b"#":
                raise self._wrong("array without length")
            count = self._length()
            if marker:
                return self._numbers(marker, count)
            return [self.value(depth + 1) for _ in range(count)]
        found = []
        while self._ahead() != b"]":
            found.append(self.value(depth + 1))
        self._take(1)
        return found

    def _numbers(self, marker: bytes, count: int) -> Any:
        if marker not in _TYPES:
            raise self._wrong("type")
        dtype = np.dtype(_TYPES[marker])
        return np.frombuffer(self._take(count * dtype.itemsize), dtype=dtype)

    def _length(self) -> int:
        if self._take(1) != b"L":
            raise self._wrong("length")
        length = int.from_bytes(self._take(8), "big", signed=True)
        if length < 0:
            raise self._wrong("length")
        return length

    def _ahead(self) -> bytes:
        return self._content[self.at : self.at + 1]

    def _take(self, count: int) -> bytes:
        taken = self._content[self.at : self.at + count]
        if len(taken) < count:
            raise self._wrong("end")
        self.at += count
        return taken

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"unexpected {what} at byte {self.at}")
