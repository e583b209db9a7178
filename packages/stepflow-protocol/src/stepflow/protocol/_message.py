"""What all generated types have in common."""

import msgspec


class Message(msgspec.Struct, omit_defaults=True):
    """A JSON object of the protocol.

    An optional member that is absent, or null, which means the same, is `None`; it is left out
    when written.
    """
