"""The base class of all generated types."""

import msgspec


class Message(msgspec.Struct, omit_defaults=True):
    """A JSON object of the protocol.

    An optional member that is absent or null is `None`; both mean the same. It is left out when the
    object is written.
    """
