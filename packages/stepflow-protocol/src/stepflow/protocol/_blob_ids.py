"""The name of a blob follows from its content, so that both sides can compute it."""

import hashlib

import msgspec

_encoder = msgspec.json.Encoder()


def blob_id(data: object) -> str:
    """Return the id of a JSON value: 64 hex digits.

    It is the SHA-256 of the value's compact JSON: keys in their order, text as unescaped UTF-8,
    integers as digits, other numbers in their shortest form (`1.0`, `1e16`).

    Raises `TypeError` or `ValueError` when the value has no JSON form.
    """
    return hashlib.sha256(_encoder.encode(data)).hexdigest()
