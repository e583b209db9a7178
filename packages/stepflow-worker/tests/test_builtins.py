"""`/udf` and `/langchain/invoke` run code that comes with a flow: when they are served, and the warning about it."""

from typing import TYPE_CHECKING

import pytest

from stepflow.worker import DuplicateComponent, RegistrationError, StepflowServer
from stepflow.worker import _builtins as builtins

if TYPE_CHECKING:
    from conftest import Run, Start

SERVER = "from stepflow.worker import StepflowServer\nserver = StepflowServer({})\n"


def listed(run: "Run", *options: str, arguments: str = "") -> list[str]:
    """Return the paths that a worker lists, with a TARGET without components."""
    done = run("components.py", "--list", *options, components=SERVER.format(arguments))
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()[1:]]


def test_they_are_not_served_unless_they_are_turned_on(run: "Run") -> None:
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
def test_a_server_turns_them_on_by_name(run: "Run", arguments: str, paths: list[str]) -> None:
    assert listed(run, arguments=arguments) == paths


def test_the_command_line_turns_them_on_by_flag(run: "Run") -> None:
    assert listed(run, "--udf") == ["/udf"]
    assert listed(run, "--langchain", "--udf") == ["/langchain/invoke", "/udf"]
    assert listed(run, "--udf", "--reload") == ["/udf"]
    assert listed(run, "--udf", arguments="builtins=['udf']") == ["/udf"]


def test_without_a_target_a_flag_leaves_out_the_others(run: "Run") -> None:
    done = run("--list", "--langchain")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["/langchain/invoke"]


def test_one_that_is_not_served_is_not_found(start: "Start") -> None:
    worker = start("")
    assert worker.execute("/udf", {"blob_id": "0", "input": 1})["error"]["code"] == -32001


def test_serving_them_is_reported_on_stderr(run: "Run") -> None:
    done = run("components.py", "--udf", "--langchain", components=SERVER.format(""))
    assert done.stderr == (
        "stepflow-worker: serves `/udf` and `/langchain/invoke`: code that a flow brings along "
        "runs with all rights of this process\n"
    )
    assert run("components.py", components=SERVER.format("")).stderr == ""


def test_one_that_is_served_after_a_save_is_reported_then(start: "Start") -> None:
    worker = start("", "--udf", "--reload")
    listed = worker.request("components/list")["result"]["components"]
    assert [each["component"] for each in listed] == ["/udf"]
    worker.close_input()
    assert worker.wait() == 0
    assert "serves `/udf`" in worker.stderr


def test_a_components_path_replaces_a_builtin_unless_that_was_turned_on_by_name() -> None:
    for_all = StepflowServer(include_builtins=True)
    mine = for_all.component(name="/udf")(lambda input: "mine")
    assert for_all.served().components["/udf"].function is mine

    asked_for = StepflowServer(builtins=["udf"])
    with pytest.raises(DuplicateComponent, match="`/udf` is already `udf`"):
        asked_for.component(name="udf")(lambda input: "mine")


def test_a_flag_for_a_path_that_a_component_has_is_refused(run: "Run") -> None:
    source = SERVER.format("") + "@server.component\ndef udf(input): ...\n"
    done = run("components.py", "--udf", components=source)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`/udf` is already `udf`" in done.stderr


def test_an_included_one_is_under_the_prefix() -> None:
    server = StepflowServer()
    server.include(StepflowServer(builtins=["udf"]), prefix="code")
    assert list(server.components) == ["/code/udf"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RegistrationError, match=r"`uds` cannot .* `udf` and `langchain` alone"):
        StepflowServer(builtins=["uds"])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "find_spec", lambda module: None)
    with pytest.raises(RegistrationError, match=r"needs `jsonschema`.*\n.*stepflow-worker\[udf\]"):
        StepflowServer(builtins=["udf"])
    with pytest.raises(RegistrationError, match=r"stepflow-worker\[langchain\]"):
        StepflowServer(builtins=["langchain"])
    assert list(StepflowServer(include_builtins=True).served().components) == []
