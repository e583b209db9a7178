"""The builtins with malicious flows, and with the network settings of the machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.serving import serving

LOAD = """
steps: [{id: file, component: /builtin/load_file, input: {path: {$input: path}, format: text}}]
output: {$step: file, path: data}
"""

ASK = """
steps:
  - id: model
    component: /builtin/openai
    input: {messages: [{role: user, content: hi}], api_key: k, base_url: {$input: url}}
output: {$step: model, path: response}
"""

DOUBLING = (
    "{% set n = namespace(x='ab') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
)


def test_a_template_that_doubles_a_text_forty_times_fails_its_step_and_the_server_lives(
    stepflow: Stepflow,
) -> None:
    step = {"id": "text", "component": "/builtin/template"}
    template = {"template": {"$input": "template"}, "values": {}}
    flow = {"steps": [{**step, "input": template}], "output": {"$step": "text", "path": "text"}}
    with serving(stepflow) as server:

        def ran(template: str) -> dict[str, object]:
            body = {"flow": flow, "input": [{"template": template}], "wait": True}
            result: dict[str, object] = server("POST", "/runs", body).body["result"]
            return result

        for _ in range(3):
            failed = json.dumps(ran(DOUBLING))
            assert "INVALID_INPUT" in failed
            assert "the template needs more than 256 MiB of memory" in failed
            assert ran("{{ 1 + 1 }}") == {"outcome": "success", "result": "2"}
        assert peak_memory(server.process.pid) < 256 * 1024 * 1024


def peak_memory(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_a_flow_cannot_read_the_configuration_that_it_runs_under(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=LOAD, note_txt="for all")
    config = 'plugins: {b: {type: builtin}}\nroutes: {"/builtin": [{plugin: b}]}\n# hidden\n'
    (stepflow.folder / "other.yaml").write_text(config)
    (stepflow.folder / ".env").write_text("KEY=hidden")

    def ran(path: str) -> tuple[int, str]:
        arguments = ("run", "flow.yaml", "--config", "other.yaml", "--input-json")
        ended = stepflow(*arguments, json.dumps({"path": path}))
        return ended.code, ended.stdout + ended.stderr

    assert ran("note.txt")[0] == 0
    for path, problem in {
        "other.yaml": "it is the configuration of a server",
        ".env": "what begins with a dot is not read",
    }.items():
        code, said = ran(path)
        assert code == 1
        assert problem in said
        assert "hidden" not in said


@contextmanager
def model() -> Iterator[tuple[int, list[str]]]:
    """Run a server that answers every request; yields its port, and the addresses that were requested."""
    asked: list[str] = []

    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps({"choices": [{"message": {"content": "hello"}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_model_is_asked_through_the_proxy_of_the_environment(
    stepflow: Stepflow, name: str
) -> None:
    stepflow.write(flow_yaml=ASK)
    url = "http://models.invalid/v1"
    with model() as (port, asked):
        env = {
            name: f"http://127.0.0.1:{port}",
            "OPENAI_BASE_URL": url,
            "NO_PROXY": "",
            "no_proxy": "",
        }
        ended = stepflow("run", "flow.yaml", "--input-json", json.dumps({"url": url}), env=env)
    assert ended.code == 0, ended.stderr
    assert asked == [f"{url}/chat/completions"]


def test_a_model_without_a_proxy_is_asked_directly(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ASK)
    with model() as (port, asked):
        url = f"http://127.0.0.1:{port}/v1"
        env = {"HTTP_PROXY": "http://127.0.0.1:1", "OPENAI_BASE_URL": url, "NO_PROXY": "127.0.0.1"}
        ended = stepflow("run", "flow.yaml", "--input-json", json.dumps({"url": url}), env=env)
    assert ended.code == 0, ended.stderr
    assert asked == ["/v1/chat/completions"]


def test_a_model_is_asked_where_the_configuration_says(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ASK)
    with model() as (port, asked):
        url = f"http://127.0.0.1:{port}"
        config = f"plugins: {{b: {{type: builtin, openai: {{baseUrls: ['{url}/v1']}}}}}}\n"
        config += 'routes: {"/builtin": [{plugin: b}]}\n'
        (stepflow.folder / "stepflow-config.yml").write_text(config)
        for path, code in {"/v1": 0, "/v2": 1, "/v1/../v2": 1, "/v1?": 1}.items():
            input = json.dumps({"url": url + path})
            ended = stepflow("run", "flow.yaml", "--input-json", input, env={"NO_PROXY": "*"})
            assert ended.code == code, ended.stderr
    assert asked == ["/v1/chat/completions"]


def test_an_invalid_base_url_is_an_error_of_the_configuration(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ASK)
    config = (
        "plugins:\n  b:\n    type: builtin\n    openai:\n      baseUrls: ['http://u:pw@h/v1?x']\n"
    )
    (stepflow.folder / "stepflow-config.yml").write_text(
        config + 'routes: {"/builtin": [{plugin: b}]}\n'
    )
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 3
    assert "`http://****@h/v1?x` is not a base URL: it holds a user" in ended.stderr
    assert "stepflow-config.yml:5:" in ended.stderr
