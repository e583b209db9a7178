"""Around the protocol: addresses, ports, tokens, printed text and imports."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepflow.worker._http.listening import Address, listener

if TYPE_CHECKING:
    from over_http.conftest import Serve

ECHO = "@server.component\nasync def echo(input): return input"
ALONE = "from stepflow.worker import StepflowServer\nserver = StepflowServer()\n"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another socket listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def refused(folder: Path, *options: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a worker that must end before it serves."""
    (folder / "components.py").write_text(ALONE, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "stepflow.worker", "components.py", *options],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "options",
    [["--http"], ["--host", "127.0.0.1"], ["--port", "0"], ["--host", "localhost"], ["--insecure"]],
)
def test_each_http_option_turns_http_on(serve: "Serve", options: list[str]) -> None:
    worker = serve(ECHO, *options, command=("-m", "stepflow.worker", "components.py"))
    assert worker.output("/echo", 1) == 1


def test_a_users_own_script_serves_over_http(serve: "Serve") -> None:
    script = ECHO + '\nprint("hello")\nasyncio.run(server.run(host="127.0.0.1", port=0))'
    worker = serve(script, command=("components.py",))
    assert worker.output("/echo", 1) == 1
    worker.process.terminate()
    assert worker.wait() == 0
    assert worker.stderr == "hello\n"


def test_run_http_takes_the_options_of_the_command_line(serve: "Serve") -> None:
    call = 'server.run_http("0.0.0.0", 0, "s3cret", max_concurrency=3, drain_timeout=1)'
    worker = serve(f"{ECHO}\nasyncio.run({call})", command=("components.py",))
    worker.headers["Authorization"] = "Bearer s3cret"
    assert worker.initialize()["capabilities"]["max_concurrency"] == 3


def test_what_components_print_does_not_touch_stdout(serve: "Serve") -> None:
    worker = serve(
        """
        print("at import")
        os.write(1, b"to fd 1\\n")

        @server.component
        def chatty(input):
            print("in a component")
            os.system("echo in a child")
        """
    )
    worker.output("/chatty")
    worker.process.terminate()
    assert worker.wait() == 0
    assert worker.process.stdout is not None and worker.process.stdout.read() == b""
    for said in ("at import", "to fd 1", "in a component", "in a child"):
        assert said in worker.stderr


def test_a_port_in_use_is_reported(tmp_path: Path, taken: int) -> None:
    done = refused(tmp_path, "--port", str(taken))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1 port {taken}" in done.stderr
    assert "in use" in done.stderr and "`--port`" in done.stderr


def test_small_answers_are_sent_at_once() -> None:
    """Otherwise each would wait for a delayed acknowledgement, 40 ms on Linux."""
    with listener(Address("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        with client, accepted:
            assert accepted.proto == socket.IPPROTO_TCP, "by which asyncio knows it for TCP"


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_an_impossible_port_is_reported(tmp_path: Path, port: str) -> None:
    done = refused(tmp_path, "--port", port)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.invalid"])
def test_an_address_that_other_machines_reach_needs_a_token(tmp_path: Path, host: str) -> None:
    done = refused(tmp_path, "--host", host, "--port", "0")
    assert done.returncode == 2
    assert "STEPFLOW_WORKER_TOKEN" in done.stderr and "`--insecure`" in done.stderr


def test_an_address_that_other_machines_reach_may_be_allowed_by_insecure(serve: "Serve") -> None:
    assert serve(ECHO, "--host", "0.0.0.0", "--insecure").output("/echo", 1) == 1


@pytest.mark.parametrize("by", ["option", "environment"])
def test_with_a_token_only_the_health_needs_none(serve: "Serve", by: str) -> None:
    options = ["--token", "s3cret"] if by == "option" else []
    env = {"STEPFLOW_WORKER_TOKEN": "s3cret"} if by == "environment" else {}
    worker = serve(ECHO, *options, env=env)
    assert worker.get("/health").status == 200
    for path in ("/components", "/docs", "/runtime/events"):
        assert worker.get(path).status == 401
    got = worker.post(b'{"jsonrpc": "2.0", "id": 1, "method": "components/list", "params": {}}')
    assert (got.status, got.headers["www-authenticate"]) == (401, "Bearer")
    assert "token" in got.json["error"]["message"]
    for wrong in ("Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret", "Bearer é"):
        assert worker.client(Authorization=wrong).get("/components").status == 401
    for right in ("Bearer s3cret", "bearer s3cret"):
        assert worker.client(Authorization=right).output("/echo", 1) == 1


@pytest.mark.parametrize("host", ["localhost:80", "127.0.0.1", "[::1]:8080"])
def test_without_a_token_only_host_names_that_no_web_page_has_are_allowed(
    serve: "Serve", host: str
) -> None:
    worker = serve(ECHO)
    assert worker.client(Host=host).output("/echo", 1) == 1
    others = ("pages.example", "localhost.example:80", "127.0.0.1.example", "[::1", "[::1].example")
    for other in (*others, "localhost/pages.example", "me@localhost", "localhost:port"):
        refused = worker.client(Host=other).ask("POST", "/", b"{}")
        assert refused.status == 403
        assert "`localhost`" in refused.json["error"]["message"]


PAGES = (
    {"Host": "pages.example"},
    {"Origin": "https://pages.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:1"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "empty"},
)
"""Headers that a browser adds to the requests of a page of another origin."""


def test_a_page_of_another_origin_reaches_no_route(serve: "Serve") -> None:
    worker = serve(ECHO)
    routes = [*worker.get("/openapi.json").json["paths"], "/docs", "/openapi.json"]
    assert {"/health", "/components", "/components/{path}", "/runtime/events"} <= set(routes)
    for route in (*routes, "/", "/nowhere"):
        for method in ("GET", "POST", "OPTIONS"):
            for page in PAGES:
                refused = worker.client(**page).ask(method, route, b"{}", Content_Type="text/plain")
                assert refused.status == 403, (method, route, page)


def test_a_token_keeps_out_pages_of_other_origins_too(serve: "Serve") -> None:
    worker = serve(ECHO, "--token", "s3cret")
    for path in ("/health", "/components"):
        page = worker.client(Origin="https://pages.example", Authorization="Bearer s3cret")
        assert page.get(path).status == 403


def test_its_own_page_may_send_requests_and_a_link_may_be_followed(serve: "Serve") -> None:
    worker = serve(ECHO)
    own = f"http://127.0.0.1:{worker.port}"
    asked = worker.client(**{"Origin": own, "Sec-Fetch-Site": "same-origin"})
    assert asked.output("/echo", 1) == 1
    link = worker.client(**{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"})
    assert link.get("/docs").status == 200
    assert link.ask("POST", "/", b"{}").status == 403


def test_the_name_that_it_listens_on_is_an_allowed_host_name(serve: "Serve") -> None:
    worker = serve(ECHO, "--host", "localhost")
    assert worker.client(Host="LOCALHOST").output("/echo", 1) == 1


def test_with_a_token_any_host_name_is_allowed(serve: "Serve") -> None:
    worker = serve(ECHO, "--token", "s3cret")
    named = worker.client(Host="worker.example", Authorization="Bearer s3cret")
    assert named.output("/echo", 1) == 1


def test_several_processes_on_one_port_are_refused(tmp_path: Path) -> None:
    done = refused(tmp_path, "--port", "0", WEB_CONCURRENCY="4")
    assert (done.returncode, done.stdout) == (1, "")
    assert "WEB_CONCURRENCY=4" in done.stderr and "`instances`" in done.stderr


def test_an_address_of_another_machine_is_reported(tmp_path: Path) -> None:
    done = refused(tmp_path, "--host", "192.0.2.1", "--token", "x")
    assert "`--host` is an address of this machine" in done.stderr


def test_a_port_in_the_environment_that_is_no_number_is_reported(tmp_path: Path) -> None:
    done = refused(tmp_path, "--http", STEPFLOW_WORKER_PORT="http")
    assert "port http: STEPFLOW_WORKER_PORT is not a number" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_port_is_8080_unless_the_environment_sets_another(tmp_path: Path, taken: int) -> None:
    done = refused(tmp_path, "--http", STEPFLOW_WORKER_PORT=str(taken))
    assert f"port {taken}" in done.stderr
    assert "or 8080" in refused(tmp_path, "--help").stdout.replace("\n", " ")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError(name='fastapi')")
    done = refused(tmp_path, "--http", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "needs `fastapi`" in done.stderr
    assert "pip install 'stepflow-worker[http]'" in done.stderr


def test_a_stdio_worker_imports_nothing_of_http(tmp_path: Path) -> None:
    source = "import atexit, sys\natexit.register(lambda: print(*sys.modules))\n" + ALONE
    (tmp_path / "components.py").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "stepflow.worker", "components.py"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    modules = set(done.stderr.split())
    assert "stepflow.worker._stdio.serving" in modules
    assert not {"fastapi", "starlette", "uvicorn", "sse_starlette", "h11"} & modules
