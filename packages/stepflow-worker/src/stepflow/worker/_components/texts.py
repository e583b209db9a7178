"""Checks the texts and schemas of a component: they are sent as JSON, and terminals show them."""

import unicodedata

from stepflow.protocol import NoJsonForm, json_text
from stepflow.worker.errors import RegistrationError


def check_text(shown: str, what: str, text: object) -> None:
    """Raise `RegistrationError` if `text` is not a `str`."""
    if not isinstance(text, str):
        raise RegistrationError(shown, f"its {what} is a `{type(text).__name__}`, not a text")


def check_described(name: str, description: str | None, **schemas: object) -> None:
    """Raise `RegistrationError` for what has no JSON form, or what a terminal cannot show."""
    if description is not None:
        check_text(name, "description", description)
        for each in description:
            if unicodedata.category(each) in ("Cc", "Cs") and not each.isspace():
                raise RegistrationError(name, f"its description holds {each!a}; leave it out")
    for role, schema in schemas.items():
        try:
            json_text(schema)
        except NoJsonForm as lacking:
            raise RegistrationError(
                name, f"the JSON Schema of its {role} has no JSON form: {lacking}"
            ) from None
