"""The exceptions that end a check early.

Exception
├── CannotStart          there is no worker to check
└── Broken               the rule does not hold
│   └── Unreachable      the worker ended, or does not listen any more
└── Inapplicable         the rule cannot be checked on this worker
"""


class CannotStart(Exception):
    """Raised when a worker could not be started or reached, or did not answer."""


class Broken(Exception):
    """Raised by a check whose rule does not hold; the text says what was found instead."""


class Unreachable(Broken):
    """Raised when the worker has ended, or its port is closed."""


class Inapplicable(Exception):
    """Raised by a check that cannot be made on this worker; the text says what is missing."""
