"""Ends before it can say anything."""

import a_module_that_is_not_there  # noqa: F401
