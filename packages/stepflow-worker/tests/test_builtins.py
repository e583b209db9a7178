"""`/udf` and `/langchain/invoke` run what a flow brings: who serves them, and what is said of it."""

from typing import TYPE_CHECKING

import pytest

from stepflow.worker import DuplicateComponent, RegistrationError, StepflowServer
from stepflow.worker import _builtins as builtins

if TYPE_CHECKING:
    from conftest import Run, Start

SERVER = "from stepflow.worker import StepflowServer\nserver = StepflowServer({})\n"


def listed(run: "Run", *options: str, arguments: str = "") -> list[str]:
    """The paths that a worker lists, of a TARGET without components of its own."""
    done = run("components.py", "--list", *options, components=SERVER.format(arguments))
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()[1:]]


def test_nobody_serves_them_who_did_not_ask(run: "Run") -> None:
    assert listed(run) == []


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        ("builtins=('udf',)", ["/udf"]),
        ("builtins='udf'", ["/udf"]),
        ("builtins=['langchain', 'udf']", ["/langchain/invoke", "/udf"]),
        ("include_builtins=True", ["/udf", "/langchain/invoke"]),
        ("include_builtins=True, builtins=['langchain']", ["/langchain/invoke", "/udf"]),
        ("include_builtins=False", []),
    ],
)
def test_a_server_asks_for_them_by_name(run: "Run", arguments: str, paths: list[str]) -> None:
    assert listed(run, arguments=arguments) == paths


def test_the_command_line_asks_for_them_by_flag(run: "Run") -> None:
    assert listed(run, "--udf") == ["/udf"]
    assert listed(run, "--langchain", "--udf") == ["/langchain/invoke", "/udf"]
    assert listed(run, "--udf", "--reload") == ["/udf"]
    assert listed(run, "--udf", arguments="builtins=['udf']") == ["/udf"]


def test_without_a_target_a_flag_leaves_out_the_others(run: "Run") -> None:
    done = run("--list", "--langchain")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["/langchain/invoke"]


def test_what_is_not_served_is_not_found(start: "Start") -> None:
    worker = start("")
    assert worker.execute("/udf", {"blob_id": "0", "input": 1})["error"]["code"] == -32001


def test_serving_them_is_said_on_stderr(run: "Run") -> None:
    done = run("components.py", "--udf", "--langchain", components=SERVER.format(""))
    assert done.stderr == (
        "stepflow-worker: serves `/udf` and `/langchain/invoke`: code that a flow brings along "
        "runs with all rights of this process\n"
    )
    assert run("components.py", components=SERVER.format("")).stderr == ""


def test_one_that_is_served_after_a_save_is_said_then(start: "Start") -> None:
    worker = start("", "--udf", "--reload")
    listed = worker.request("components/list")["result"]["components"]
    assert [each["component"] for each in listed] == ["/udf"]
    worker.close_input()
    assert worker.wait() == 0
    assert "serves `/udf`" in worker.stderr


def test_a_path_of_ones_own_comes_before_all_but_not_before_one_asked_for() -> None:
    for_all = StepflowServer(include_builtins=True)
    mine = for_all.component(name="/udf")(lambda input: "mine")
    assert for_all.served().components["/udf"].function is mine

    asked_for = StepflowServer(builtins=["udf"])
    with pytest.raises(DuplicateComponent, match="`/udf` is already `udf`"):
        asked_for.component(name="udf")(lambda input: "mine")


def test_a_flag_that_a_component_is_in_the_way_of_is_refused(run: "Run") -> None:
    source = SERVER.format("") + "@server.component\ndef udf(input): ...\n"
    done = run("components.py", "--udf", components=source)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`/udf` is already `udf`" in done.stderr


def test_one_that_is_included_lies_under_the_prefix() -> None:
    server = StepflowServer()
    server.include(StepflowServer(builtins=["udf"]), prefix="code")
    assert list(server.components) == ["/code/udf"]


def test_a_name_that_nothing_has_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RegistrationError, match=r"`uds` cannot .* `udf` and `langchain` alone"):
        StepflowServer(builtins=["uds"])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "find_spec", lambda module: None)
    with pytest.raises(RegistrationError, match=r"needs `jsonschema`.*\n.*stepflow-worker\[udf\]"):
        StepflowServer(builtins=["udf"])
    with pytest.raises(RegistrationError, match=r"stepflow-worker\[langchain\]"):
        StepflowServer(builtins=["langchain"])
    assert list(StepflowServer(include_builtins=True).served().components) == []
