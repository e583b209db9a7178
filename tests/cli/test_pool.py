"""Several processes of one plugin, and tasks that crash their process while it runs others."""

import json

from tests.cli.conftest import Stepflow
from tests.cli.flows import ONE_STEP, component

CONFIG = """\
plugins:
  python: {type: stepflow, command: stepflow-worker, KEYS}
routes:
  "/python/{*component}": [{plugin: python}]
"""

TWO = CONFIG.replace("KEYS", "args: [components.py], instances: 2, maxConcurrency: 1")
ROOMY = CONFIG.replace("KEYS", "args: [components.py, --max-concurrency, '11']")

# Each waits until the other one runs.
MEET = """\
import os, pathlib, time
pathlib.Path(f"{input['me']}.pid").touch()
while not pathlib.Path(f"{input['other']}.pid").exists():
    time.sleep(0.01)
return {"pid": os.getpid()}
"""

# The crash happens when all other items run in the process; in their first attempt they wait for it.
POISON = """\
import os, pathlib, time
with open(f"attempts-{input['n']}", "a") as attempts:
    attempts.write("x")
while len(list(pathlib.Path().glob("attempts-*"))) < 11:
    time.sleep(0.01)
if input["n"] == 0:
    os._exit(3)
if pathlib.Path(f"attempts-{input['n']}").stat().st_size == 1:
    time.sleep(600)
return input
"""

# One item in ten asks its own process to end.
LEAVE = """\
import os, signal
with open(f"done-{input['n']}", "a") as done:
    done.write("x")
if input["n"] % 10 == 5:
    os.kill(os.getpid(), signal.SIGTERM)
return input
"""


def test_two_processes_of_a_plugin_work_at_the_same_time(stepflow: Stepflow) -> None:
    stepflow.write(
        **{"stepflow-config_yml": TWO},
        flow_yaml=ONE_STEP,
        components_py=component(MEET),
        inputs_jsonl='{"me": "a", "other": "b"}\n{"me": "b", "other": "a"}\n',
    )
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 0, ended.stderr
    results = [json.loads(line)["result"] for line in ended.stdout.splitlines()]
    assert len({result["pid"] for result in results}) == 2


def test_a_component_that_ends_its_process_fails_and_the_ten_beside_it_do_not(
    stepflow: Stepflow,
) -> None:
    stepflow.write(
        **{"stepflow-config_yml": ROOMY},
        flow_yaml=ONE_STEP,
        components_py=component(POISON),
        inputs_jsonl="".join(f'{{"n": {n}}}\n' for n in range(11)),
    )
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl", "--max-concurrency", "11")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    failed = [line["itemIndex"] for line in lines if line["outcome"] == "failed"]
    assert (len(lines), failed) == (11, [0]), ended.stderr
    attempts = [len((stepflow.folder / f"attempts-{n}").read_text()) for n in range(11)]
    # Together with ten others, five, two and one at most, then alone with its budget of four.
    assert 5 <= attempts[0] <= 8 and all(2 <= others <= 5 for others in attempts[1:]), attempts


def test_no_step_fails_when_processes_end_one_after_the_other(stepflow: Stepflow) -> None:
    stepflow.write(
        **{"stepflow-config_yml": TWO},
        flow_yaml=ONE_STEP,
        components_py=component(LEAVE),
        inputs_jsonl="".join(f'{{"n": {n}}}\n' for n in range(50)),
    )
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 0, ended.stderr
    done = [len((stepflow.folder / f"done-{n}").read_text()) for n in range(50)]
    assert done == [1] * 50, "none was done twice"
