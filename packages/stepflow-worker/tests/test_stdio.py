"""The worker as a process with pipes: concurrency, protected streams, long lines, the end."""

import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start

# Components that go on when the test answers their request: the order needs no clock.
ASKING = """
@server.component
def asks(input: str, context: StepflowContext) -> str:
    return context.sync.get_blob(input)

@server.component
async def asks_async(input: str, context: StepflowContext) -> str:
    return await context.get_blob(input)
"""


@pytest.mark.parametrize("component", ["/asks", "/asks_async"])
def test_executes_run_side_by_side_and_answer_out_of_order(start: "Start", component: str) -> None:
    worker = start(ASKING)
    ids = {name: worker.begin_execute(component, name) for name in ("a", "b", "c")}
    requests = [worker.called("blobs/get") for _ in ids]
    by_name = {request["params"]["blob_id"]: request for request in requests}
    for name in ("c", "a", "b"):
        worker.give_blob(by_name[name], f"{name}!")
        answer = worker.receive()
        assert (answer["id"], answer["result"]["output"]) == (ids[name], f"{name}!")


def test_components_that_block_stop_neither_the_transport_nor_each_other(start: "Start") -> None:
    worker = start(
        """
        gate = threading.Event()

        @server.component
        def blocks_its_thread(input: int) -> bool:
            return gate.wait(20)

        @server.component
        async def blocks_the_loop(input: int) -> bool:
            return gate.wait(20)

        @server.component
        def opens(input: int) -> None:
            gate.set()
        """
    )
    blocked = [
        worker.begin_execute("/blocks_its_thread", 1),
        worker.begin_execute("/blocks_the_loop", 1),
    ]
    assert len(worker.request("components/list")["result"]["components"]) == 3
    assert worker.output("/opens", 1) is None
    assert [worker.answer(id)["result"]["output"] for id in blocked] == [True, True]


def test_when_a_blocked_loop_reads_the_input_a_thread_reads_instead(start: "Start") -> None:
    worker = start(
        """
        reader, writer = os.pipe()

        @server.component
        async def blocks(input: int) -> str:
            return os.read(reader, 1).decode()

        @server.component
        async def echo(input: int) -> int:
            return input

        os.write(2, f"fd {writer}".encode())
        """
    )
    assert worker.output("/echo", 7) == 7
    blocked = worker.begin_execute("/blocks", 1)
    waiting = worker.begin_execute("/echo", 8)
    assert len(worker.request("components/list")["result"]["components"]) == 2
    (fd,) = re.findall(r"fd (\d+)", worker.stderr)
    with open(f"/proc/{worker.process.pid}/fd/{fd}", "wb") as gate:
        gate.write(b"!")
    assert worker.answer(blocked)["result"]["output"] == "!"
    assert worker.answer(waiting)["result"]["output"] == 8
    assert worker.output("/echo", 9) == 9
    worker.close_input()
    assert worker.wait() == 0


def test_a_blocked_loop_is_reported_with_component_and_line(start: "Start") -> None:
    worker = start(
        """
        import logging
        reported = threading.Event()

        class Seen(logging.StreamHandler):
            def emit(self, record):
                super().emit(record)
                reported.set()

        logging.getLogger("stepflow.worker").addHandler(Seen())

        @server.component
        async def blocks(input: int) -> bool:
            return reported.wait(20)
        """
    )
    assert worker.output("/blocks", 1) is True
    assert "`/blocks` has blocked the event loop" in worker.stderr
    assert "threading.py" not in worker.stderr and "components.py:" in worker.stderr


@pytest.mark.parametrize("component", ["/asks", "/asks_async"])
def test_above_its_capacity_a_worker_queues(start: "Start", component: str) -> None:
    worker = start(ASKING, "--max-concurrency", "2")
    hello = worker.request("initialize", {"runtime_protocol_version": 1})["result"]
    assert hello["capabilities"]["max_concurrency"] == 2
    ids = [worker.begin_execute(component, name) for name in ("a", "b", "c")]
    running = [worker.called("blobs/get") for _ in range(2)]
    assert {each["params"]["blob_id"] for each in running} == {"a", "b"}
    worker.give_blob(next(each for each in running if each["params"]["blob_id"] == "b"), "done")
    assert worker.receive()["id"] == ids[1]
    assert worker.receive()["params"]["blob_id"] == "c"


def test_prints_inputs_and_children_do_not_touch_the_protocol(start: "Start") -> None:
    worker = start(
        """
        import subprocess
        print("printed at import")
        os.write(1, b"written to fd 1 at import\\n")
        subprocess.run([sys.executable, "-c", "print('child at import')"])
        ask = input

        @server.component
        def chatty(input: str) -> str:
            print("printed in a component")
            child = "import sys; print('child read', repr(sys.stdin.read()))"
            subprocess.run([sys.executable, "-c", child], check=True)
            try:
                return ask("your name? ")
            except EOFError:
                return "nobody there"
        """
    )
    assert worker.output("/chatty", "x") == "nobody there"
    worker.close_input()
    assert worker.wait() == 0
    for said in (
        "printed at import",
        "written to fd 1 at import",
        "child at import",
        "printed in a component",
        "child read ''",
    ):
        assert said in worker.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="inherits file descriptors by other rules")
def test_children_do_not_inherit_the_pipes(start: "Start") -> None:
    worker = start(
        """
        import subprocess

        @server.component
        def spawns(input: int) -> int:
            sleeper = "import time; time.sleep(600)"
            return subprocess.Popen([sys.executable, "-c", sleeper], close_fds=False).pid
        """
    )
    child = worker.output("/spawns", 1)
    try:
        worker.close_input()
        assert (
            worker.wait() == 0
        )  # reads to the end of the output, which the child must not keep open
        assert worker.is_read_to_its_end
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_line_of_many_megabytes_comes_back_whole(start: "Start") -> None:
    worker = start("@server.component\ndef echo(input): return input")
    text = "x" * (20 << 20)
    assert worker.output("/echo", text) == text


ENDING = """
@server.component
def outlives(input: str, context: StepflowContext) -> str:
    try:
        return context.sync.get_blob(input)
    except ServerGone as gone:
        return str(gone)

@server.component
async def outlives_async(input: str, context: StepflowContext) -> str:
    try:
        return await context.get_blob(input)
    except ServerGone as gone:
        return str(gone)
"""


@pytest.mark.parametrize("component", ["/outlives", "/outlives_async"])
def test_the_end_of_input_lets_open_executes_finish(start: "Start", component: str) -> None:
    worker = start(ENDING)
    id = worker.begin_execute(component, "a")
    worker.called("blobs/get")
    worker.close_input()
    assert "closed the connection" in worker.answer(id)["result"]["output"]
    assert worker.wait() == 0


@pytest.mark.parametrize("call", ["time.sleep(600)", "await asyncio.sleep(600)"])
def test_executes_that_do_not_end_in_time_are_abandoned_and_named(
    start: "Start", call: str
) -> None:
    worker = start(
        f"""
        @server.component
        {"async " if call.startswith("await") else ""}def stuck(input: int) -> None:
            {call}
        """,
        "--drain-timeout",
        "0.1",
    )
    worker.begin_execute("/stuck", 1)
    worker.request("components/list")
    worker.close_input()
    assert worker.wait() == 0
    assert "open executes of /stuck" in worker.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize(
    ("capabilities", "refusal"),
    [({"capabilities": {}}, -32006), ({}, -32000)],
    ids=["a server that negotiates", "a legacy server"],
)
def test_after_sigterm_new_executes_are_refused_and_open_ones_finish(
    start: "Start", capabilities: dict[str, object], refusal: int
) -> None:
    worker = start(ENDING + "@server.component\ndef echo(input): return input")
    worker.request("initialize", {"runtime_protocol_version": 1, **capabilities})
    opened = worker.begin_execute("/outlives", "a")
    request = worker.called("blobs/get")
    worker.process.send_signal(signal.SIGTERM)
    # The signal arrives a moment later; until then an execute is accepted.
    worker.wait_until(lambda: "error" in worker.execute("/echo", 1), "an execute is refused")
    assert worker.execute("/echo", 1)["error"]["code"] == refusal
    worker.give_blob(request, "still served")
    assert worker.answer(opened)["result"] == {"output": "still served"}
    assert worker.wait() == 0


def in_tree(root: str) -> dict[str, str]:
    """Return the observability of an execute in the tree of this run."""
    return {"run_id": root, "root_run_id": root, "flow_id": "f" * 64, "step_id": "s"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_after_sigterm_executes_that_open_ones_may_wait_for_still_run(start: "Start") -> None:
    worker = start(ENDING + "@server.component\ndef echo(input): return input")
    worker.request("initialize", {"runtime_protocol_version": 1, "capabilities": {}})
    ours, others = (in_tree(f"01a201db-08a0-7403-9639-442082c5705{n}") for n in (1, 2))
    opened = worker.begin_execute("/outlives", "a", observability=ours)
    request = worker.called("blobs/get")
    worker.process.send_signal(signal.SIGTERM)

    def is_refused() -> bool:
        return "error" in worker.answer(worker.begin_execute("/echo", 1, observability=others))

    worker.wait_until(is_refused, "an execute of another tree of runs is refused")
    nested = worker.answer(worker.begin_execute("/echo", 1, observability=ours))
    assert nested["result"] == {"output": 1}
    worker.give_blob(request, "still served")
    assert worker.answer(opened)["result"] == {"output": "still served"}
    assert worker.wait() == 0


def test_a_users_own_script_serves_over_stdio(start: "Start") -> None:
    worker = start(
        """
        print("before serving")

        @server.component
        def double(input: int) -> int:
            print("while serving")
            return 2 * input

        asyncio.run(server.run())
        """,
        command=(sys.executable, "components.py"),
    )
    assert worker.output("/double", 4) == 8
    worker.close_input()
    assert worker.wait() == 0
    assert "before serving\nwhile serving" in worker.stderr


@pytest.mark.parametrize("name", ["stepflow-worker", "stepflow_worker", "stepflow_py"])
def test_the_command_is_installed_under_its_name_and_two_old_ones(
    start: "Start", name: str
) -> None:
    program = Path(sys.executable).with_name(name)
    if not program.exists():
        pytest.skip("stepflow-worker can be imported here, but is not installed")
    worker = start(
        "@server.component\ndef echo(input): return input", command=(str(program), "components.py")
    )
    assert worker.output("/echo", 1) == 1
