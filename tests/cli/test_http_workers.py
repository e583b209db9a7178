"""Flows with workers over HTTP: workers that the server starts, and workers at an address."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme

from tests.cli.conftest import Ended, Stepflow
from tests.cli.workers import http_worker

WORKER = """\
from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@server.component
def double(input: int) -> int:
    return input * 2


@server.component
async def remember(input: int, context: StepflowContext) -> dict:
    blob_id = await context.put_blob({"kept": input})
    return await context.get_blob(blob_id)
"""

FLOW = """\
steps:
  - {id: twice, component: /python/double, input: {$input: "$"}}
  - {id: kept, component: /python/remember, input: {$step: twice}}
output: {$step: kept}
"""

STARTED = """\
plugins:
  python: {type: stepflow, command: stepflow-worker, args: [components.py, --http], instances: 2}
routes: {"/python/{*component}": [{plugin: python}]}
"""

FOUND = """\
plugins:
  python: {type: stepflow, url: ["${ONE}", "${OTHER}"], token: secret}
routes: {"/python/{*component}": [{plugin: python}]}
"""


TOKEN = ("--token", "secret")


def test_a_flow_runs_over_processes_that_serve_http(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": STARTED})
    stepflow.write(inputs_jsonl="1\n2\n3\n")
    ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
    assert ended.code == 0, ended.stderr
    results = [json.loads(line)["result"] for line in ended.stdout.splitlines()]
    assert sorted(one["kept"] for one in results) == [2, 4, 6]


def test_a_flow_runs_over_workers_at_addresses(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": FOUND})
    with http_worker(stepflow.folder, *TOKEN) as one, http_worker(stepflow.folder, *TOKEN) as other:
        env = {"ONE": one.url, "OTHER": other.url}
        ended = stepflow("run", "flow.yaml", "--input-json", "21", env=env)
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["result"] == {"kept": 42}


class Doubles(BaseHTTPRequestHandler):
    """A worker without sessions; its only component doubles a number."""

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        results: dict[str, object] = {
            "initialize": {"server_protocol_version": 1},
            "components/list": {"components": [{"component": "/double"}]},
            "components/execute": {"output": asked["params"].get("input", 0) * 2},
        }
        body = b""
        if "id" in asked:
            result = results[asked["method"]]
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
        self.send_response(200 if body else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def https_worker(authority: trustme.CA) -> Iterator[str]:
    """Run a worker with a certificate of this authority for `localhost`; yields its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Doubles) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://localhost:{server.server_port}"
        finally:
            server.shutdown()


def over_https(stepflow: Stepflow, trusted: trustme.CA, of_worker: trustme.CA) -> Ended:
    """Run a flow on a machine that trusts one authority, with a worker whose certificate is signed by another or by it."""
    flow = 'steps: [{id: a, component: /python/double, input: {$input: "$"}}]\noutput: {$step: a}\n'
    config = FOUND.replace('["${ONE}", "${OTHER}"]', '"${ONE}"')
    stepflow.write(**{"flow_yaml": flow, "stepflow-config_yml": config})
    trusted.cert_pem.write_to_path(stepflow.folder / "trusted.pem")
    with https_worker(of_worker) as url:
        env = {"ONE": url, "SSL_CERT_FILE": str(stepflow.folder / "trusted.pem")}
        return stepflow("run", "flow.yaml", "--input-json", "21", env=env)


def test_a_flow_runs_over_https(stepflow: Stepflow) -> None:
    authority = trustme.CA()
    ended = over_https(stepflow, authority, authority)
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["result"] == 42


def test_a_certificate_that_the_machine_does_not_trust_ends_the_command(stepflow: Stepflow) -> None:
    ended = over_https(stepflow, trustme.CA(), trustme.CA())
    assert (ended.code, ended.stdout) == (3, "")
    assert "certificate" in ended.stderr


def test_addresses_where_nothing_listens_end_the_command(stepflow: Stepflow) -> None:
    stepflow.write(**{"components_py": WORKER, "flow_yaml": FLOW, "stepflow-config_yml": FOUND})
    with http_worker(stepflow.folder, *TOKEN) as worker:
        gone = worker.url
    ended = stepflow("run", "flow.yaml", "--input-json", "1", env={"ONE": gone, "OTHER": gone})
    assert (ended.code, ended.stdout) == (3, "")
    assert "the worker at `${ONE}` is not reached" in ended.stderr
    assert "correct the plugin's `url`" in ended.stderr
