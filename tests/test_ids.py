"""One flow has one id, in each language and in each spelling."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepflow.protocol import FlowBuilder, Value, blob_id, flow_id
from stepflow.protocol.flow import (
    BackoffExponential,
    ErrorKind,
    ExhaustedUseDefault,
    OnError,
    OnErrorFail,
    OnErrorRetry,
    OnErrorUseDefault,
)

ROOT = Path(__file__).parents[1]


class Server:
    """The ids that a real server computes."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=60)

    def id_of(self, flow: str) -> str:
        """Return the id of a document that is sent as JSON in the request."""
        body = f'{{"dryRun":true,"flow":{flow}}}'
        answer = self._http.post(
            "/flows", content=body.encode(), headers={"Content-Type": "application/json"}
        )
        stored = answer.json()
        assert answer.status_code == 200 and stored["diagnostics"]["numFatal"] == 0, stored
        id: str = stored["flowId"]
        return id

    def id_of_text(self, document: str) -> str:
        """Return the id of a document that is sent as the text of a file."""
        return self.id_of(json.dumps(document))

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def server(server_url: str) -> Any:
    server = Server(server_url)
    yield server
    server.close()


# Respelling


def as_yaml(value: Any, indent: str = "") -> str:
    """Return a JSON value as YAML in block style."""
    if isinstance(value, dict) and value:
        lines = (f"{indent}{quoted(key)}:{below(each, indent)}" for key, each in value.items())
        return "".join(lines)
    if isinstance(value, list) and value:
        return "".join(f"{indent}-{below(each, indent)}" for each in value)
    return indent + scalar(value)


def below(value: Any, indent: str) -> str:
    nested = value and isinstance(value, dict | list)
    return "\n" + as_yaml(value, indent + "  ") if nested else " " + scalar(value)


def scalar(value: Any) -> str:
    written = quoted(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
    return written + "\n"


def quoted(text: str) -> str:
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(plain)}"'


def backwards(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the keys of the language in another order."""
    steps = [dict(reversed(step.items())) for step in document.get("steps", [])]
    whole = {**document, "steps": steps}
    return dict(reversed(whole.items()))


# Flows

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
KEYS = TEXT.filter(lambda key: not key.startswith("$"))  # a value with a `$` may be an expression
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
CONSTANTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
SPANS = st.none() | st.just("1h30m") | st.integers(0, 1000) | st.floats(0, 1000)
ON_ERROR: st.SearchStrategy[OnError | None] = (
    st.none()
    | st.builds(OnErrorFail)
    | st.builds(OnErrorUseDefault, default_value=CONSTANTS)
    | st.builds(
        OnErrorRetry,
        max_retries=st.none() | st.integers(0, 2**32 - 1),
        backoff=st.none()
        | st.builds(BackoffExponential, initial=SPANS, factor=st.integers(1, 9) | st.floats(1, 9)),
        retry_on=st.none() | st.just([ErrorKind.timeout]),
        exhausted=st.none() | st.builds(ExhaustedUseDefault, default_value=CONSTANTS),
    )
)


@st.composite
def data(draw: st.DrawFn, references: list[Value]) -> Any:
    """Draw an input or an output: constants that contain references."""
    reference = st.sampled_from(references)
    path: list[str | int] = draw(st.lists(TEXT | st.integers(0, 2**64 - 1), max_size=3))
    part: Any = draw(reference)
    for segment in path:
        part = part[segment]
    return draw(
        st.sampled_from(
            [
                part,
                Value.literal({"$input": draw(TEXT), "$step": draw(CONSTANTS)}),
                Value.if_(part, draw(CONSTANTS), draw(reference)),
                Value.coalesce(draw(reference), part, draw(CONSTANTS)),
                {draw(KEYS): part, draw(KEYS): draw(CONSTANTS)},
                [part, draw(CONSTANTS)],
            ]
        )
    )


@st.composite
def builders(draw: st.DrawFn) -> FlowBuilder:
    name = draw(st.none() | TEXT)
    builder = FlowBuilder(name, description=draw(st.none() | TEXT), timeout=draw(SPANS))
    references: list[Value] = [Value.input(), Value.variable("v", default=draw(CONSTANTS))]
    for id in draw(st.lists(TEXT.filter(str.strip), unique=True, max_size=3)):
        step = builder.add_step(
            id=id,
            component=f"/{draw(TEXT)}",
            input_data=draw(data(references)),
            on_error=draw(ON_ERROR),
            must_execute=draw(st.none() | st.booleans()),
            timeout=draw(SPANS),
            metadata=draw(st.none() | st.dictionaries(TEXT, CONSTANTS, max_size=2)),
        )
        references.append(step)
    builder.set_output(draw(data(references)))
    if draw(st.booleans()):
        builder.add_variable("v", {"default": draw(CONSTANTS)})
        builder.add_example("e", draw(CONSTANTS))
        builder.add_metadata(draw(TEXT), draw(CONSTANTS))
    return builder


@pytest.mark.server
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(builders())
def test_a_flow_has_one_id_as_yaml_as_json_by_request_and_from_the_builder(
    server: Server, builder: FlowBuilder
) -> None:
    text = builder.to_json()
    respelled = backwards(msgspec.json.decode(text))
    ids = {
        "built": flow_id(builder.build()),
        "read as JSON": flow_id(json.dumps(respelled, indent=3)),
        "sent as JSON": server.id_of(text),
        "sent with other escapes and key order": server.id_of(json.dumps(respelled)),
        "sent indented": server.id_of(builder.to_json(indent=2)),
        "sent as YAML": server.id_of_text(as_yaml(respelled)),
    }
    assert set(ids.values()) == {ids["built"]}, (ids, text)


# Documents that authors write, but the builder does not.
BY_HAND = [
    "{}",
    '{"name":null,"steps":[],"output":null,"schemas":{"type":"object"},"metadata":{},"other":1}',
    '{"schemas":{"properties":{"input":{}},"type":"object"}}',
    '{"output":[-0,-0.0,1E5,0.10,1e-5,1e-7,1e15,1e16,123456789012345680.0,18446744073709551616]}',
    '{"output":[{"$input":null},{"$input":""},{"$input":"$"},{"$input":"$..a."},{"$input":"  $.a "}]}',
    r'{"output":[{"$input":"$[\"\\u00e9\\n\"]"},{"$input":"$[\u0027x.y\u0027][007]"},{"$input":" a"}]}',
    '{"output":{"$if":true,"then":{"$input":"x y"},"else":null,"more":1}}',
    '{"output":{"$coalesce":[{"$variable":"$.a[0]","default":null},{"$variable":"b c"}]}}',
    '{"output":{"$literal":{"$input":"a.b","z":1.50}}}',
    """{"steps":[{"id":"a","component":"/a","mustExecute":false,"timeout":30.0,"onError":{"maxRetries":null,
       "action":"retry","backoff":{"max":9,"type":"exponential","factor":2}}}],
       "output":{"path":"$","$step":"a"}}""",
    '{"test":{"stepflow_config":{"b":1},"cases":[{"input":null,"name":"n","output":null}]}}',
    '{"test":{"cases":[]},"examples":[{"input":null,"description":"","name":""}],"timeout":0}',
]


@pytest.mark.server
@pytest.mark.parametrize("document", BY_HAND)
def test_a_document_that_was_written_by_hand_has_the_servers_id(
    server: Server, document: str
) -> None:
    assert flow_id(document) == server.id_of(document) == server.id_of_text(document)


# Ids that every implementation must compute.

IDS = ROOT / "conformance/ids.json"


@pytest.fixture(scope="module")
def known() -> Any:
    return json.loads(IDS.read_text(encoding="utf-8"))


def test_the_known_ids_of_values(known: Any) -> None:
    assert known["values"]
    for each in known["values"]:
        assert blob_id(msgspec.json.decode(each["json"])) == each["id"], each


def test_the_known_ids_of_flows(known: Any) -> None:
    documents = [each for each in known["flows"] if each["format"] == "json"]
    assert documents
    for each in documents:
        assert flow_id(each["document"]) == each["id"], each
