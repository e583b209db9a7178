"""Flows and components that several tests use."""

BUILTIN = """\
name: copy
steps:
  - id: copy
    component: /builtin/noop
    input: {$input: $}
output: {$step: copy}
"""

ONE_STEP = """\
name: one step
description: One Python step.
steps:
  - id: work
    component: /python/work
    input: {$input: $}
output: {$step: work}
"""

SERVER = """\
from stepflow.worker import StepflowServer

server = StepflowServer()


@server.component
"""


def component(body: str, name: str = "work") -> str:
    """Return a `components.py` with one function that has this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{SERVER}def {name}(input: dict) -> dict:\n{lines}"


MAP = """\
name: each
steps:
  - id: each
    component: /builtin/map
    input:
      items: {$input: $}
      workflow:
        $literal:
          steps:
            - {id: one, component: /python/work, input: {$input: $}}
          output: {$step: one}
output: {$step: each, path: $.results}
"""
