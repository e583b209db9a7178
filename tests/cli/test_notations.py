"""A flow document has the same limits, with the same messages, in a YAML file, a JSON file and a request."""

import json

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN
from tests.cli.serving import serving

DEEP = "[" * 128 + "]" * 128

REFUSED = {
    '{"output": "\\ud800"}': "half of a surrogate pair",
    '{"output": 1e999}': "the number `1e999` is too large",
    '{"metadata": {"a": 1, "\\u0061": 2}}': "appears twice in",
    f'{{"output": {DEEP}}}': "nested more than 128 deep",
}


@pytest.mark.parametrize("name", ["flow.yaml", "flow.json"])
def test_a_file_is_refused_with_this_message(stepflow: Stepflow, name: str) -> None:
    for text, words in REFUSED.items():
        (stepflow.folder / name).write_text(text, encoding="utf-8")
        ended = stepflow("validate", name)
        assert (ended.code, words in ended.stderr) == (1, True), ended.stderr


def test_a_request_is_refused_with_this_message(stepflow: Stepflow) -> None:
    with serving(stepflow) as server:
        for text, words in REFUSED.items():
            for flow in (text, json.dumps(text)):
                body = f'{{"flow": {flow}}}'.encode()
                answer = server("POST", "/flows", raw=body)
                assert words in json.dumps(answer.body, ensure_ascii=False), (flow, answer)


PLACES = {
    '{"a": [1, {"b": "x\\ud800"}]}': "a string holds half of a surrogate pair: `$.a[1].b`",
    '{"a": [1, {"b": 1, "b": 2}]}': "a key appears twice in one object: `$.a[1].b`",
    f'{{"a": [1, {DEEP}]}}': "nested more than 128 deep: `$.a[1][0][0][0][0]…[0][0]`",
}


def test_a_value_is_refused_with_its_place_from_every_source(stepflow: Stepflow) -> None:
    for text, words in PLACES.items():
        stepflow.write(flow_yaml=BUILTIN, inputs_jsonl=f"{text}\n", data_json=text)
        ended = stepflow("run", "flow.yaml", "--inputs", "inputs.jsonl")
        assert (ended.code, words in ended.stderr) == (1, True), ended.stderr
        ended = stepflow("run", "flow.yaml", "--set", f"x={text}")
        assert (ended.code, words in ended.stderr) == (2, True), ended.stderr
        stepflow.write(flow_yaml=BUILTIN.replace("noop", "load_file"))
        ended = stepflow("run", "flow.yaml", "--input-json", '{"path": "data.json"}')
        assert (ended.code, words in ended.stderr) == (1, True), ended.stderr


def test_old_sections_mean_the_same_in_a_request(stepflow: Stepflow) -> None:
    old = {
        "name": "n",
        "description": "d",
        "inputSchema": {"type": "object"},
        "output": {"$input": "$"},
    }
    new = {
        "name": "n",
        "description": "d",
        "schemas": {"properties": {"input": {"type": "object"}}},
        "output": {"$input": "$"},
    }
    with serving(stepflow) as server:
        stored = server("POST", "/flows", {"flow": old}).body
        assert [one["code"] for one in stored["diagnostics"]["diagnostics"]] == [1008]
        assert stored["flowId"] == server("POST", "/flows", {"flow": new}).body["flowId"]
        read = server("GET", f"/flows/{stored['flowId']}").body
        assert read["flow"] == new
        again = server("POST", "/flows", {"flow": read["flow"]}).body
        assert (again["flowId"], again["diagnostics"]["diagnostics"]) == (stored["flowId"], [])
        refused = server("POST", "/runs", {"flow": old, "input": ["no object"]})
        assert refused.status == 400
