"""Control characters in texts of flows and workers: a terminal shows them, and the result keeps them."""

import json
import sys

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP, component
from tests.cli.test_terminal import on_a_terminal

WIPE = "\x1b[2J\x1b]0;owned\x07"


def acts(told: str) -> list[str]:
    """Return the control characters in a text that would have an effect on a terminal."""
    return [c for c in told if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]


def test_a_message_a_type_and_a_traceback_move_no_cursor(stepflow: Stepflow) -> None:
    body = (
        f"raise type('E' + {WIPE!r}, (Exception,), {{}})({WIPE!r} + '\\x9b31m \\u202e' + chr(13))"
    )
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(body))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 1
    assert "␛[2J␛]0;owned␇" in ended.stderr
    assert acts(ended.stderr) == [] and "\u202e" not in ended.stderr
    assert json.loads(ended.stdout)["error"]["message"].startswith(WIPE)


def test_a_live_display_shows_only_its_own_colours(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(f"raise ValueError({WIPE!r})"))
    code, told = on_a_terminal(stepflow, "run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert code == 2, told
    stepflow.write(inputs_jsonl="{}\n{}\n")
    code, told = on_a_terminal(stepflow, "run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert code == 1, told
    assert "\x1b[2J" not in told and "\x1b]0;" not in told and "\x07" not in told
    assert "␛[2J" in told


@pytest.mark.parametrize("command", ["validate", "run"])
def test_step_ids_components_and_excerpts_move_no_cursor(stepflow: Stepflow, command: str) -> None:
    step = '{id: "s\\e[2J", component: "/x\\e[2J\\a", input: {$step: "none\\e[2J"}}'
    stepflow.write(flow_yaml=f'steps: [{step}]\noutput: {{$step: "s\\e[2J"}}\n')
    ended = stepflow(command, "flow.yaml", *(["--input-json", "{}"] if command == "run" else []))
    assert ended.code != 0
    assert acts(ended.stdout + ended.stderr) == [], ended
    assert "␛[2J" in ended.stderr


FORGED = "s\nerror: forged"
"""A name whose second line would look like a line of ours."""


def test_a_line_break_in_a_step_begins_no_line(stepflow: Stepflow) -> None:
    step = {"id": FORGED, "component": "/builtin/eval\nerror: forged", "input": {}}
    flow = {"steps": [step], "output": {"$step": FORGED}}
    stepflow.write(flow_yaml=json.dumps(flow))
    ended = stepflow("run", "flow.yaml", "--no-check", "--input-json", "{}")
    assert ended.code == 1
    told = ended.stderr.splitlines()
    assert any(
        line.startswith("failed s␊error: forged (/builtin/eval␊error: forged)") for line in told
    )
    assert any("step `s␊error: forged` failed" in line for line in told)
    assert any(line.endswith("component /builtin/eval␊error: forged") for line in told)


def test_a_line_break_in_the_name_of_a_case_begins_no_line(stepflow: Stepflow) -> None:
    case = {"name": FORGED, "input": 1, "output": {"outcome": "success", "result": 2}}
    flow = {"steps": [], "output": {"$input": "$"}, "test": {"cases": [case]}}
    stepflow.write(flow_yaml=json.dumps(flow))
    ended = stepflow("test", "flow.yaml")
    assert ended.code == 1
    assert "failed s␊error: forged (flow.yaml:" in ended.stdout
    missing = stepflow("test", "flow.yaml", "--case", "a\nb")
    assert "`a␊b`" in missing.stderr


def test_a_line_break_in_the_name_of_a_plugin_begins_no_line(stepflow: Stepflow) -> None:
    plugin = {"type": "stepflow", "command": "no-such-command"}
    stepflow.write(config_yml=json.dumps({"plugins": {FORGED: plugin}}))
    ended = stepflow("plugins", "list", "--config", "config.yml")
    assert ended.code == 3
    assert "\ns␊error: forged  stepflow" in ended.stdout
    assert "plugin `s␊error: forged`: there is no command" in ended.stderr
    assert "\nerror: forged" not in ended.stdout + ended.stderr


def test_a_raw_escape_in_a_document_moves_no_cursor(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=f"steps: {WIPE}\n")
    ended = stepflow("validate", "flow.yaml")
    assert ended.code == 1
    assert acts(ended.stdout + ended.stderr) == [], ended


def test_the_last_words_of_a_worker_move_no_cursor(stepflow: Stepflow) -> None:
    words = f"import sys\nprint({WIPE!r}, file=sys.stderr)\nsys.exit(3)\n"
    stepflow.write(flow_yaml=ONE_STEP, components_py=words)
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", "--log-level", "debug")
    assert ended.code == 3
    assert "owned" in ended.stderr
    assert acts(ended.stderr) == []


FOREIGN = f"""\
import json, sys

ANSWERS = {{
    "initialize": {{"server_protocol_version": 1}},
    "components/list": {{"components": [{{"component": "/x" + {WIPE!r}, "description": {WIPE!r}}}]}},
}}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": ANSWERS[message["method"]]}}), flush=True)
"""
"""A worker without our library, which would refuse such names."""


def test_names_of_components_move_no_cursor(stepflow: Stepflow) -> None:
    plugin = {"type": "stepflow", "command": sys.executable, "args": ["foreign.py"]}
    routes = {"/python/{*component}": [{"plugin": "foreign"}]}
    config = json.dumps({"plugins": {"foreign": plugin}, "routes": routes})
    stepflow.write(foreign_py=FOREIGN, config_yml=config)
    listed = stepflow("components", "list", "--config", "config.yml")
    assert listed.code == 0, listed.stderr
    assert acts(listed.stdout) == [] and "owned" in listed.stdout


def test_a_message_of_21_mb_is_told_once_and_cut(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=ONE_STEP, components_py=component("raise ValueError('x' * 21_000_000)")
    )
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 1
    assert len(ended.stdout) < 120_000
    assert len(ended.stderr) < 60_000
    error = json.loads(ended.stdout)["error"]
    assert len(error["message"]) < 66_000 and error["message"].endswith("characters more)")
    assert "work" in error["data"]["traceback"]
