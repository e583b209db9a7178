"""`stepflow run --inputs` with flows that run other flows: each item has exactly one line."""

import fcntl
import json
import os
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Doorbell, Ended, Stepflow
from tests.cli.flows import ONE_STEP, SERVER, component

PLUS_ONE = """\
steps:
  - {id: add, component: /builtin/template, input: {template: "{{ n + 1 }}", values: {n: {$input: $.n}}}}
output: {$step: add, path: $.text}
"""
"""A flow that fails if `n` is not a number."""


def indented(flow: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in flow.splitlines())


MAP = f"""\
name: map
steps:
  - id: each
    component: /builtin/map
    input:
      items: [{{n: 0}}, {{$input: $}}, {{n: 2}}]
      on_item_error: fail
      workflow:
        $literal:
{indented(PLUS_ONE, 10)}output: {{$step: each, path: "$.results[1].result"}}
"""

COLLECTING_MAP = MAP.replace("on_item_error: fail", "on_item_error: collect").replace(
    '"$.results[1].result"', "$.failed"
)


def evaluating(flow: str) -> str:
    """A flow that runs another one by its id, and fails if that fails."""
    return f"""\
steps:
  - id: stored
    component: /builtin/put_blob
    input:
      blob_type: flow
      data:
        $literal:
{indented(flow, 10)}  - id: inner
    component: /builtin/eval
    input: {{flow_id: {{$step: stored, path: $.blob_id}}, input: {{$input: $}}}}
output: {{$step: inner, path: $.result.result}}
"""


NESTED_EVAL = "name: nested eval\n" + evaluating(evaluating(PLUS_ONE))

ITERATE = """\
name: iterate
steps:
  - id: loop
    component: /builtin/iterate
    input:
      initial_input: {n: {$input: $.n}, left: 3}
      flow:
        $literal:
          steps:
            - id: add
              component: /builtin/template
              input: {template: "{{ n + 1 }}", values: {n: {$input: $.n}}}
          output: {result: {$step: add, path: $.text}}
output: {$step: loop, path: $.result}
"""

EVALUATES = """\
name: evaluates
steps:
  - {id: work, component: /python/work, input: {$input: $}}
output: {$step: work}
"""

ASKS = (
    SERVER.replace("import StepflowServer", "import StepflowContext, StepflowServer")
    + """async def work(input: dict, context: StepflowContext) -> str:
    flow = {"steps": [{"id": "add", "component": "/builtin/template", "input": {"template": "{{ n + 1 }}",
        "values": {"n": {"$input": "$.n"}}}}], "output": {"$step": "add", "path": "$.text"}}
    return await context.evaluate_flow(flow, input)
"""
)


def batch(stepflow: Stepflow, *arguments: str) -> Ended:
    inputs = "".join(f"{json.dumps({'n': n})}\n" for n in (10, 20, "bad", 40))
    stepflow.write(inputs_jsonl=inputs)
    return stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl", *arguments)


def lines_of(text: str) -> dict[int, object]:
    """Return the outcome of each item: its result, or the kind of its error."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert len({line["itemIndex"] for line in lines}) == len(lines), text
    return {
        line["itemIndex"]: line["result"] if line["outcome"] == "success" else line["error"]["kind"]
        for line in lines
    }


@pytest.mark.parametrize(
    "flow", [MAP, NESTED_EVAL, ITERATE, EVALUATES], ids=["map", "eval", "iterate", "worker"]
)
def test_each_item_of_a_batch_has_one_line_also_if_it_runs_flows(
    stepflow: Stepflow, flow: str
) -> None:
    stepflow.write(flow_yaml=flow, components_py=ASKS)
    ended = batch(stepflow)
    assert ended.code == 1, ended.stderr
    lines = lines_of(ended.stdout)
    assert (lines.pop(0), lines.pop(1), lines.pop(3)) == ("11", "21", "41")
    assert list(lines) == [2] and lines[2] in (
        "INVALID_INPUT",
        "COMPONENT_FAILED",
        "EXPRESSION_FAILURE",
    )
    assert "1 of 4 items failed" in ended.stderr


def test_a_failure_inside_a_map_that_collects_is_no_line_of_the_batch(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=COLLECTING_MAP)
    ended = batch(stepflow)
    assert ended.code == 0, ended.stderr
    assert lines_of(ended.stdout) == {0: 0, 1: 0, 2: 1, 3: 0}


def test_a_file_of_results_replaces_the_one_before_when_it_is_whole(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=MAP, out_jsonl="before\n")
    out = stepflow.folder / "out.jsonl"
    out.chmod(0o640)
    (stepflow.folder / "link").symlink_to(out.name)
    ended = batch(stepflow, "--output", "link")
    assert (ended.code, ended.stdout) == (1, "")
    assert sorted(lines_of(out.read_text())) == [0, 1, 2, 3]
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert (stepflow.folder / "link").is_symlink()
    assert leftovers(stepflow.folder) == []


def test_what_was_in_the_file_stays_when_nothing_could_run(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=EVALUATES, components_py="raise SystemExit", out_json="before")
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", "--output", "out.json")
    assert (ended.code, ended.stdout) == (3, "")
    assert (stepflow.folder / "out.json").read_text() == "before"
    assert leftovers(stepflow.folder) == []


def test_the_items_that_had_ended_are_kept_when_a_batch_is_interrupted(
    stepflow: Stepflow, doorbell: Doorbell
) -> None:
    body = "if input['n'] == 1:\n    return 'first'\nwith open('doorbell', 'w') as bell: bell.write('running')\n"
    stuck = "import asyncio\nawait asyncio.Event().wait()\n"
    source = "".join(f"    {line}\n" for line in (body + stuck).splitlines())
    stepflow.write(
        flow_yaml=EVALUATES,
        components_py=f"{SERVER}async def work(input: dict) -> str:\n{source}",
        inputs_jsonl='{"n": 1}\n{"n": 2}\n',
    )
    arguments = ("--inputs", "inputs.jsonl", "--output", "out.jsonl", "--max-concurrency", "1")
    process = stepflow.start("run", "flow.yaml", *arguments)
    doorbell.wait()
    process.terminate()
    assert stepflow.end(process).code == 130
    assert lines_of((stepflow.folder / "out.jsonl").read_text()) == {0: "first", 1: "CANCELLED"}


def test_what_a_killed_process_has_left_is_removed_unless_somebody_has_it(
    stepflow: Stepflow, doorbell: Doorbell
) -> None:
    ring = "with open('doorbell', 'w') as bell: bell.write('running')\nimport threading\nthreading.Event().wait()"
    stepflow.write(
        flow_yaml=ONE_STEP, components_py=component(f"{ring}\nreturn {{}}"), quick_yaml=NESTED_EVAL
    )
    killed = stepflow.start("run", "flow.yaml", "--input-json", "{}", "--output", "out.json")
    doorbell.wait()
    killed.kill()
    stepflow.end(killed)
    (left,) = leftovers(stepflow.folder)
    quick = ("run", "quick.yaml", "--input-json", '{"n": 1}', "--output")
    with (stepflow.folder / left).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert stepflow(*quick, "out.json").code == 0
        assert leftovers(stepflow.folder) == [left], "a process that writes it has it locked"
    assert stepflow(*quick, "other.json").code == 0
    assert leftovers(stepflow.folder) == [left], "it is of another file"
    assert stepflow(*quick, "out.json").code == 0
    assert leftovers(stepflow.folder) == []


def test_a_disk_that_is_full_is_no_mistake_in_the_command_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=NESTED_EVAL)
    arguments = ("run", "flow.yaml", "--input-json", '{"n": 1}', "--output")
    ended = stepflow(*arguments, "/dev/full")
    assert ended.code == 3
    assert "error: cannot write the output `/dev/full`: No space left on device" in ended.stderr
    assert stepflow(*arguments, "nowhere/out.json").code == 2


def test_results_go_through_a_pipe_that_stands_in_for_a_file(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=NESTED_EVAL)
    arguments = ("run", "flow.yaml", "--input-json", '{"n": 1}', "--output")
    ended = stepflow(*arguments, "/dev/stdout")
    assert json.loads(ended.stdout) == {"outcome": "success", "result": "2"}
    assert stepflow(*arguments, os.devnull).code == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def leftovers(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.name.endswith(".partial")]


def test_items_that_never_began_have_lines_too_when_the_time_is_up(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=f"timeout: 1s\n{ONE_STEP}",
        components_py=component("import time\ntime.sleep(60)\nreturn {}"),
        inputs_jsonl="{}\n{}\n{}\n{}\n",
    )
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl", "--max-concurrency", "1")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.code == 1, ended.stderr
    assert sorted(line["itemIndex"] for line in lines) == [0, 1, 2, 3]
    assert {line["error"]["kind"] for line in lines} == {"TIMEOUT"}
