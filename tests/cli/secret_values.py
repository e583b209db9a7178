"""Fifty secrets of many kinds, marked in different ways, and the texts that must not be shown."""

import base64
import json
import random
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

MARK = {"is_secret": True}

FORMS: tuple[dict[str, Any], ...] = (
    MARK,
    {"is_secret": 1},
    {"$ref": "#/$defs/pointed"},
    {"$ref": "#/$defs/a~1b%25"},
    {"$ref": "#anchored"},
    {"$dynamicRef": "#dynamic"},
    {"$ref": "embedded"},
    {"$ref": "http://example.test/flow#/$defs/pointed"},
    {"$ref": "embedded#/$defs/inner"},
    {"type": ["string", "number", "object", "array"], "$ref": "#anchored"},
    {"allOf": [{}, {"$ref": "#/$defs/pointed"}]},
    {"anyOf": [{"type": "null"}, MARK]},
    {"if": True, "then": MARK},
    {"$ref": "#/$defs/chained"},
)
"""Ways to mark a member as secret in its schema."""

DEFINITIONS: dict[str, Any] = {
    "pointed": MARK,
    "a/b%": MARK,
    "anchor": {"$anchor": "anchored", **MARK},
    "dynamic": {"$dynamicAnchor": "dynamic", **MARK},
    "chained": {"$ref": "#/$defs/anchor"},
    "resource": {"$id": "embedded", **MARK, "$defs": {"inner": MARK}},
}

_LETTERS = string.ascii_letters + string.digits


class Secrets(NamedTuple):
    """Secrets by name, the schema that marks them, and every text that would reveal one."""

    values: dict[str, Any]
    schema: dict[str, Any]
    telling: frozenset[str]


def fifty(random: random.Random) -> Secrets:
    """Draw fifty secrets."""
    values = {f"s{number:02}": _value(random, number) for number in range(49)}
    # One that is a part of another, and shares its beginning.
    values["s49"] = str(values["s00"])[:9]
    members = {name: FORMS[number % len(FORMS)] for number, name in enumerate(values)}
    schema = {
        "$id": "http://example.test/flow",
        "type": "object",
        "properties": members,
        "$defs": DEFINITIONS,
    }
    telling = {spelled for leaf in _leaves(values) for spelled in _spelled(leaf)}
    return Secrets(values, schema, frozenset(telling))


def _value(random: random.Random, number: int) -> Any:
    def word(length: int = 12) -> str:
        return "".join(random.choices(_LETTERS, k=length))

    kinds = (
        lambda: word(18),
        lambda: f"{word()} with spaces {word()}",
        lambda: f"{word()}'{word()}\"{word()}\\{word()}",
        lambda: f"-----BEGIN-----\n{word(30)}\n\t{word(30)}\n",
        lambda: f"é{word()}€{word()}🔑\u00a0{word()}",
        lambda: f"{word()}\x1b[31m{word()}\x07",
        lambda: f"https://{word()}:{word()}@host/{word()}?k={word()}&l=%20+",
        lambda: random.randrange(10**8, 10**15),
        lambda: random.uniform(1e3, 1e6),
        lambda: {"user": word(), "nested": {"list": [word(), random.randrange(10**8, 10**12)]}},
        lambda: [word(), {"key": word()}, True, None],
        lambda: word(4),
    )
    return kinds[number % len(kinds)]()


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from _leaves(member)
    elif isinstance(value, list):
        for element in value:
            yield from _leaves(element)
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield json.dumps(value)


def _spelled(text: str) -> set[str]:
    as_json, as_ascii = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
    found = {text, repr(text)[1:-1], as_json, as_ascii}
    found |= {line.strip() for line in text.splitlines() if len(line.strip()) > 20}
    found |= _in_base64(text)
    found |= {json.dumps(each)[1:-1] for each in found}
    found |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in found}
    return found


def _in_base64(text: str) -> set[str]:
    whole = {
        encode(text.encode()).decode() for encode in (base64.b64encode, base64.urlsafe_b64encode)
    }
    return whole | {each.rstrip("=") for each in whole}
