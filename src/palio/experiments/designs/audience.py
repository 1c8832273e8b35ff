"""Whom an experiment is for: conditions on what a request says about its unit."""

from __future__ import annotations

import enum
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from typing_extensions import override

from palio.errors import InvalidInput

__all__ = ["Attribute", "Attributes", "Condition", "Test", "check_attributes", "value_of"]

Attribute = bool | int | float | str
Attributes = Mapping[str, Attribute]

_MOST_ATTRIBUTES = 64
_LONGEST = 256  # characters of a name, or of a text
_MOST_VALUES = 1_000


class Test(enum.StrEnum):
    """How an attribute is compared with a value."""

    __test__ = False  # no test of ours, though its name says so

    IS = "="
    IN = "in"
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    EXISTS = "exists"


_ORDER: Mapping[Test, Callable[[float | str, float | str], bool]] = {
    Test.BELOW: operator.lt,
    Test.AT_MOST: operator.le,
    Test.ABOVE: operator.gt,
    Test.AT_LEAST: operator.ge,
}
_LARGEST = 2**63 - 1  # what every JSON can hold
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{0,19})?(e[+-]?[0-9]{1,2})?", re.IGNORECASE)
_WORDS = re.compile(r"\s*([\w.-]+?)\s*(?:(<=|>=|=|<|>)|\s(in)\s|\s(exists)\s*$)\s*(.*?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """What an attribute must be.

    A unit without the attribute meets no condition but ``exists`` with ``False``. Texts are
    compared with texts, numbers with numbers; ``True`` is not 1.

    Parameters
    ----------
    attribute
        Its name.
    test
        How it is compared.
    value
        With what: a list for ``in``, whether it must be there for ``exists``, a text, number or
        truth value for ``=``, a text or number otherwise.
    """

    attribute: str
    test: Test
    value: Attribute | tuple[Attribute, ...] = True

    def __post_init__(self) -> None:
        _check_name(self.attribute, "audience")
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        for value in values:
            _check_value(self.attribute, value, "audience")
        if not _FITS[self.test](self.value):
            raise _refused(
                f"{self.attribute} {self.test} needs {_NEEDS.get(self.test, 'a text or a number')}"
                f", got {self.value!r}",
                "audience",
                self.value,
            )

    @override
    def __str__(self) -> str:
        if self.test is Test.EXISTS:
            return f"{self.attribute} exists" if self.value else f"{self.attribute} is missing"
        shown = ",".join(map(str, self.value)) if isinstance(self.value, tuple) else self.value
        return f"{self.attribute} {self.test} {shown}"

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition as people write it.

        Parameters
        ----------
        text
            As in ``country in NL,BE``, ``age >= 18``, ``plan = pro`` or ``email exists``; what
            reads as a number is one, ``true`` and ``false`` are truth values.

        Raises
        ------
        InvalidInput
            If it is none of these.
        """
        found = _WORDS.fullmatch(text)
        if found is None:
            raise _refused(
                f"{text!r} is no condition; write as in 'country in NL,BE', 'age >= 18', "
                "'plan = pro' or 'email exists'",
                "audience",
                text,
            )
        name, sign, among, _, rest = found.groups()
        if among:
            return cls(name, Test.IN, tuple(value_of(one.strip()) for one in rest.split(",")))
        return cls(name, Test(sign), value_of(rest)) if sign else cls(name, Test.EXISTS)

    def met_by(self, attributes: Attributes) -> bool:
        """Tell whether a request's attributes meet it."""
        if self.test is Test.EXISTS:
            return (self.attribute in attributes) is self.value
        if self.attribute not in attributes:
            return False
        found, value = attributes[self.attribute], self.value
        if isinstance(value, tuple):
            return any(_is_same(found, one) for one in value)
        if self.test is Test.IS:
            return _is_same(found, value)
        if _kind(found) is not _kind(value):
            return False
        return _ORDER[self.test](found, value)


def value_of(text: str) -> Attribute:
    """Read a value as people write it: a number, ``true``, ``false``, or a text."""
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def check_attributes(attributes: Attributes) -> None:
    """Raise ``InvalidInput`` when a request says more about its unit than can be taken.

    At most 64 texts, numbers and truth values, with names and texts of at most 256 characters.
    """
    if len(attributes) > _MOST_ATTRIBUTES:
        raise _refused(
            f"{len(attributes)} attributes were sent; send at most {_MOST_ATTRIBUTES}",
            "attributes",
            len(attributes),
        )
    for name, value in attributes.items():
        _check_name(name, "attributes")
        _check_value(name, value, "attributes")


def _check_name(name: object, field: str) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST:
        raise _refused(f"an attribute's name must have 1 to {_LONGEST} characters", field, name)


def _check_value(name: str, value: object, field: str) -> None:
    if isinstance(value, str):
        if len(value) <= _LONGEST:
            return
        why = f"must have at most {_LONGEST} characters, got {len(value)}"
    elif not isinstance(value, bool | int | float):
        why = f"must be a text, a number or a truth value, got {type(value).__name__}"
    elif abs(value) <= _LARGEST:  # false for NaN
        return
    else:
        why = f"must be a number of at most {_LARGEST}"
    raise _refused(f"{name} {why}", field, str(value)[:_LONGEST])


def _refused(why: str, field: str, value: object) -> InvalidInput:
    return InvalidInput(f"{field}: {why}", field=field, value=value)


def _kind(value: object) -> type:
    """Return what a value is compared with: texts, numbers, or truth values."""
    return type(value) if isinstance(value, bool | str) else float


def _is_same(one: Attribute, other: Attribute) -> bool:
    return _kind(one) is _kind(other) and one == other


def _is_ordered(value: object) -> bool:
    return _kind(value) is not bool and not isinstance(value, tuple)


_FITS: Mapping[Test, Callable[[object], bool]] = {
    **dict.fromkeys(_ORDER, _is_ordered),
    Test.IS: lambda value: not isinstance(value, tuple),
    Test.IN: lambda value: isinstance(value, tuple) and 0 < len(value) <= _MOST_VALUES,
    Test.EXISTS: lambda value: isinstance(value, bool),
}
_NEEDS: Mapping[Test, str] = {
    Test.IS: "one value",
    Test.IN: f"a list of 1 to {_MOST_VALUES} values",
    Test.EXISTS: "true or false",
}
