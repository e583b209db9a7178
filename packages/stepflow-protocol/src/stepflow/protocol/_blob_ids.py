"""The id of a blob is a hash of its content, so that both sides can compute it."""

import hashlib

from stepflow.protocol._json import json_text


def blob_id(data: object) -> str:
    """Return the id of a JSON value: 64 hex digits.

    It is the SHA-256 of the value's compact JSON: keys in their order, text as unescaped UTF-8,
    integers as digits, other numbers in their shortest form (`1.0`, `1e16`).

    Raises `NoJsonForm` for a value without a JSON form.
    """
    return hashlib.sha256(json_text(data)).hexdigest()
