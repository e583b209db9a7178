"""Workers and components that a new user gets wrong."""

import json

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP, SERVER, component


def test_a_worker_that_fails_on_import_shows_its_stderr(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py="import no_such_module\n")
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert (ended.code, ended.stdout) == (3, "")
    assert "`python`" in ended.stderr
    assert "no_such_module" in ended.stderr
    assert "hint: " in ended.stderr


def test_a_worker_target_that_does_not_exist_is_named(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP)
    ended = stepflow("run", "flow.yaml", "--worker", "nowhere.py", "--input-json", "{}")
    assert (ended.code, ended.stdout) == (3, "")
    assert "nowhere.py" in ended.stderr


def test_an_exception_of_a_component_is_shown_with_its_details(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("raise ValueError('no good')"))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 1
    assert json.loads(ended.stdout)["error"]["message"] == "no good"
    assert "error: step `work` failed: no good" in ended.stderr
    assert "/python/work" in ended.stderr
    assert "attempt   1" in ended.stderr
    assert "Traceback (most recent call last)" in ended.stderr
    assert 'components.py", line ' in ended.stderr
    assert "hint: " in ended.stderr


def test_a_component_may_print_and_read_stdin(stepflow: Stepflow) -> None:
    body = (
        "import os, subprocess, sys\n"
        'print(\'{"jsonrpc": "2.0", "id": 1, "result": {}}\', flush=True)\n'
        "os.write(1, b'raw\\n')\n"
        "subprocess.run(['echo', 'child'])\n"
        "return {'read': sys.stdin.read()}"
    )
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(body))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 0, ended.stderr
    assert ended.stdout == '{"outcome":"success","result":{"read":""}}\n'


def test_a_worker_that_dies_in_every_attempt_is_a_failed_step(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("import os\nos._exit(7)"))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 1
    assert json.loads(ended.stdout)["error"]["kind"] == "UNREACHABLE"
    assert "attempt   4" in ended.stderr


def test_a_worker_that_is_killed_once_is_replaced(stepflow: Stepflow) -> None:
    stepflow.write(
        flow_yaml=ONE_STEP,
        components_py=SERVER.replace("\n\n\n@server.component\n", "\n\n\n")
        + "import os\nimport signal\nfrom stepflow.worker import StepflowContext\n\n"
        "@server.component\n"
        "def work(input: dict, context: StepflowContext) -> dict:\n"
        "    with open('seen', 'a') as seen:\n"
        "        print(context.task_id, file=seen)\n"
        "    if context.attempt == 1:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return {'attempt': context.attempt}\n",
    )
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", "--output-only")
    assert ended.code == 0, ended.stderr
    assert ended.stdout == '{"attempt":2}\n'
    first, second = (stepflow.folder / "seen").read_text().split()
    assert first == second


def test_a_misspelt_component_is_found_before_the_first_step(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("return {}", name="works"))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert (ended.code, ended.stdout) == (1, "")
    assert "error[2501]" in ended.stderr
    assert "`/python/works`" in ended.stderr
