"""`docs/values.md` says what happens to each Python value. This test tries all of them, and writes the page.

`REWRITE_PAGES=1` writes the page again; without it the page must be up to date.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest

pytest.importorskip("pydantic", reason="the page has a column for it")

if TYPE_CHECKING:
    from conftest import Start, Worker
    from over_http.conftest import HttpWorker, Serve

PAGE = Path(__file__).parents[4] / "docs" / "values.md"
BEGIN, END = "<!-- begin: {} -->\n", "<!-- end: {} -->"
SHOWN = 44
"""The longest JSON text that a cell shows whole."""


class Leaving(NamedTuple):
    """A value that a component returns, as code, and its declared type."""

    value: str
    type: str


class Arriving(NamedTuple):
    """A JSON text that a component gets, and the type that it declares."""

    text: str
    type: str
    shown: str | None = None


LEAVING = [
    Leaving("1.0", "float"),
    Leaving("math.nan", "float"),
    Leaving("-math.inf", "float"),
    Leaving("[1.0, (2.0, math.inf)]", "list[Any]"),
    Leaving("float_of_numpy('nan')", "float"),
    Leaving("float_of_numpy('1.5')", "float"),
    Leaving("2**63 - 1", "int"),
    Leaving("2**63", "int"),
    Leaving("2**64", "int"),
    Leaving("-(2**63) - 1", "int"),
    Leaving("10**5000", "int"),
    Leaving("Decimal('1.50')", "Decimal"),
    Leaving("Decimal('NaN')", "Decimal"),
    Leaving("{1: 'a', '2': 'b'}", "dict[Any, Any]"),
    Leaving("{1: 'a', '1': 'b'}", "dict[Any, Any]"),
    Leaving("{Colour.RED: 1}", "dict[Colour, int]"),
    Leaving("{Colour.RED: 1, 'red': 2}", "dict[Any, Any]"),
    Leaving("{True: 1}", "dict[Any, Any]"),
    Leaving("{None: 1}", "dict[Any, Any]"),
    Leaving("{math.nan: 1}", "dict[Any, Any]"),
    Leaving("{date(2024, 1, 2): 1}", "dict[date, int]"),
    Leaving("{UUID(int=1): 1}", "dict[UUID, int]"),
    Leaving("nested(127)", "Any"),
    Leaving("nested(128)", "Any"),
    Leaving("nested(5000)", "Any"),
    Leaving("itself()", "Any"),
    Leaving(r"'\ud800'", "str"),
    Leaving(r"{'\ud800': 1}", "dict[str, int]"),
    Leaving("b'\\xff'", "bytes"),
    Leaving("{1}", "set[int]"),
    Leaving("frozenset([1])", "frozenset[int]"),
    Leaving("(1, 'a')", "tuple[int, str]"),
    Leaving("Point(1, 2)", "Point"),
    Leaving("(each for each in 'ab')", "Any"),
    Leaving("range(2)", "Any"),
    Leaving("date(2024, 1, 2)", "date"),
    Leaving("datetime(2024, 1, 2)", "datetime"),
    Leaving("datetime(2024, 1, 2, tzinfo=UTC)", "datetime"),
    Leaving("datetime(2024, 1, 2, tzinfo=timezone(timedelta(seconds=3630)))", "datetime"),
    Leaving("timedelta(hours=36)", "timedelta"),
    Leaving("UUID(int=1)", "UUID"),
    Leaving("PurePosixPath('a/b')", "Any"),
    Leaving("Colour.RED", "Colour"),
    Leaving("Level.HIGH", "Level"),
    Leaving("Hidden.NAN", "Any"),
    Leaving("Data(1)", "Data"),
    Leaving("Constant(1)", "Constant"),
    Leaving("More(1, z=3)", "Data"),
    Leaving("{'x': 1, 'z': 3}", "Data"),
    Leaving("msgspec.Raw(b'[1.10,\\n{}]')", "Any"),
    Leaving('msgspec.Raw(b\'{"a":1,"a":2}\')', "Any"),
    Leaving("Struct(1)", "Any"),
    Leaving("Model(theX=1)", "Model"),
    Leaving("MoreModel(theX=1)", "Model"),
    Leaving("{math.nan}", "set[float]"),
    Leaving("Model(theX=1, y=math.nan)", "Model"),
    Leaving("SecretStr('s')", "SecretStr"),
    Leaving("object()", "Any"),
]

ARRIVING = [
    Arriving('"a"', "int"),
    Arriving("1", "float"),
    Arriving("1.0", "Any"),
    Arriving("9223372036854775808", "int"),
    Arriving("18446744073709551616", "int"),
    Arriving("-9223372036854775809", "int"),
    Arriving("1e999", "float"),
    Arriving("-1", "AtLeast0"),
    Arriving('"1.50"', "Decimal"),
    Arriving("1.10", "Decimal"),
    Arriving('"2024-01-02"', "date"),
    Arriving("[1, 1]", "set[int]"),
    Arriving('"red"', "Colour"),
    Arriving('{"x": 1}', "Data"),
    Arriving("[" * 127 + "1" + "]" * 127, "Any", "127 nested arrays"),
    Arriving("[" * 128 + "1" + "]" * 128, "Any", "128 nested arrays"),
    Arriving('{"a": 1, "a": 2}', "Any"),
    Arriving(r'"\ud800"', "str"),
    Arriving("1" + "0" * 5000, "int", "an integer of 5001 digits"),
]

SOURCE = """
import dataclasses, enum, json, math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, NamedTuple
from uuid import UUID
import msgspec, pydantic
from pydantic import SecretStr
from stepflow.worker import *
server = StepflowServer(include_builtins=False)

class Colour(enum.Enum):
    RED = "red"
class Level(enum.IntEnum):
    HIGH = 3
class Hidden(enum.Enum):
    NAN = math.nan
class Point(NamedTuple):
    x: int
    y: int
@dataclasses.dataclass
class Data:
    x: int
    y: float = 2.0
@dataclasses.dataclass
class More(Data):
    z: int = 0
@dataclasses.dataclass
class Constant:
    x: int
    kind: str = dataclasses.field(init=False, default="k")
class Struct(msgspec.Struct, omit_defaults=True):
    x: int
    y: float = 2.0
class Model(pydantic.BaseModel):
    x: int = pydantic.Field(alias="theX")
    y: float | None = None
class MoreModel(Model):
    z: int = 3
class float_of_numpy(float):
    pass
def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value
def itself():
    value = []
    value.append(value)
    return value

LEAVING = LEAVING_LIST
ARRIVING = ARRIVING_LIST

def at_least_0(of):
    return Annotated[int, msgspec.Meta(ge=0) if of == "struct" else pydantic.Field(ge=0)]

def holder(of, annotation):
    kind = at_least_0(of) if annotation == "AtLeast0" else eval(annotation)
    if of == "struct":
        return msgspec.defstruct("Holder", [("x", Any if kind in (Model, SecretStr) else kind)])
    return pydantic.create_model("Holder", x=(kind, ...))

def leaves(number, of, code, annotation):
    kind = holder(of, annotation)
    @server.component(name=f"{of}/{number}")
    def leave(input) -> kind:
        x = eval(code)
        return kind(x=x) if of == "struct" else kind.model_construct(x=x)

def arrives(number, of, annotation):
    kind = holder(of, annotation)
    @server.component(name=f"{of}/arriving/{number}")
    def arrive(input: kind):
        return ascii(input.x) if len(ascii(input.x)) < 99 else "as it is"

for of in ("struct", "model"):
    for number, (code, annotation) in enumerate(LEAVING):
        leaves(number, of, code, annotation)
    for number, annotation in enumerate(ARRIVING):
        arrives(number, of, annotation)

@server.component
def arriving(input):
    return ascii(input["x"]) if len(ascii(input["x"])) < 99 else "as it is"

@server.component
def output(input: int):
    return {"x": eval(LEAVING[input][0])}

@server.component
def error_data(input: int):
    raise ComponentError("no", data={"x": eval(LEAVING[input][0])})

@server.component
def blob(input: int, context: StepflowContext):
    context.sync.put_blob({"x": eval(LEAVING[input][0])})

@server.component
def run_input(input: int, context: StepflowContext):
    context.sync.submit_run_by_id("f" * 64, [{"x": eval(LEAVING[input][0])}])
"""

Said: TypeAlias = dict[str, Any]
Ask: TypeAlias = Callable[[str, str], Said]
"""Execute a component with an input that is given as JSON, and return the first message."""


def source() -> str:
    return SOURCE.replace("LEAVING_LIST", repr([tuple(each) for each in LEAVING])).replace(
        "ARRIVING_LIST", repr([each.type for each in ARRIVING])
    )


def params(component: str, input: str) -> str:
    observed = '"observability":{"run_id":"r","flow_id":"f","step_id":"s"}'
    return f'{{"component":"{component}","input":{input},"attempt":1,"task_id":"t",{observed}}}'


def over_stdio(worker: "Worker") -> Ask:
    ids = iter(range(10**6))

    def ask(component: str, input: str) -> Said:
        id = next(ids)
        head = f'{{"jsonrpc":"2.0","id":{id},"method":"components/execute","params":'
        worker.send_line(f"{head}{params(component, input)}}}\n".encode())
        first: Said = worker.next_message(id)
        if "method" in first:
            worker.send(id=first["id"], error={"code": -32000, "message": "seen"})
            worker.answer(id)
        return first

    return ask


def over_http(worker: "HttpWorker") -> Ask:
    def ask(component: str, input: str) -> Said:
        head = '{"jsonrpc":"2.0","id":1,"method":"components/execute","params":'
        got = worker.post(
            f"{head}{params(component, input)}}}".encode(),
            accept="application/json, text/event-stream",
        )
        text = got.body.removeprefix(b"data: ")
        first: Said = json.loads(text)
        return first

    def ask_with_requests(component: str, input: str) -> Said:
        stream = worker.begin(component, json.loads(input))
        first: Said = stream.message()
        if "method" in first:
            worker.send({"id": first["id"], "error": {"code": -32000, "message": "seen"}})
            stream.message()
        return first

    return lambda component, input: (
        ask_with_requests if component in ("/blob", "/run_input") else ask
    )(component, input)


def what_left(first: Said) -> str:
    """Return the text of a cell: the JSON of `x`, or why there is none."""
    if "method" in first:
        sent = first["params"]
        return text_of(sent["inputs"][0] if first["method"] == "runs/submit" else sent["data"])
    if "result" in first:
        return text_of(first["result"]["output"])
    error = first["error"]
    if found := re.search(r"does not fit at `(.*?)`: (?:it )?(.*)", error["message"]):
        return f"`{found[1]}` {found[2]}" if "Expected" not in found[2] else found[2]
    if found := re.search(r"^no \(its `data` is left out: (.*)\)$", error["message"]):
        return found[1]
    if error["message"] == "no":
        return text_of(error["data"]["data"])
    return str(error["message"])


def text_of(held: Said) -> str:
    text = json.dumps(held["x"], ensure_ascii=False)
    return f"`{text}`" if len(text) <= SHOWN else "as it is"


def what_arrived(first: Said) -> str:
    """Return what a component saw, or why it was not called."""
    if "result" in first:
        seen = first["result"]["output"]
        return seen if seen == "as it is" else f"`{seen}`"
    return re.sub(r"^`/.*?` cannot take ", "", first["error"]["message"])


def same_once(first: str, *others: str) -> list[str]:
    return [first, *("the same" if each == first else each for each in others)]


def escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def leaving(ask: Ask) -> str:
    """Return the table of values that components return."""
    lines = ["| value of `x` | declared | without a type | in a Struct | in a pydantic model |"]
    lines.append("|---|---|---|---|---|")
    for number, (value, kind) in enumerate(LEAVING):
        ways = ("/output", "/error_data", "/blob", "/run_input")
        untyped = {what_left(ask(way, str(number))) for way in ways}
        assert len(untyped) == 1, (value, untyped)
        typed = (what_left(ask(f"/{of}/{number}", "null")) for of in ("struct", "model"))
        cells = [f"`{value}`", f"`{kind}`", *same_once(*untyped, *typed)]
        lines.append("| " + " | ".join(map(escaped, cells)) + " |")
    return "\n".join(lines) + "\n"


def arriving(ask: Ask) -> str:
    """Return the table of values that components get."""
    lines = ["| JSON of `x` | declared | without a type | in a Struct | in a pydantic model |"]
    lines.append("|---|---|---|---|---|")
    for number, (text, kind, shown) in enumerate(ARRIVING):
        input = f'{{"x":{text}}}'
        seen = [what_arrived(ask("/arriving", input))]
        seen += (what_arrived(ask(f"/{of}/arriving/{number}", input)) for of in ("struct", "model"))
        cells = [shown or f"`{text}`", f"`{kind}`", *same_once(*seen)]
        lines.append("| " + " | ".join(map(escaped, cells)) + " |")
    return "\n".join(lines) + "\n"


def with_tables(page: str, tables: dict[str, str]) -> str:
    for name, table in tables.items():
        before, _, rest = page.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        assert end, f"the page has no room for {name}"
        page = before + BEGIN.format(name) + table + end + after
    return page


def test_the_page_says_what_happens_to_each_value(start_once: "Start", serve_once: "Serve") -> None:
    tables = {}
    for transport, ask in (
        ("stdio", over_stdio(start_once(source(), head=""))),
        ("http", over_http(serve_once(source()))),
    ):
        tables[transport] = {"leaving": leaving(ask), "arriving": arriving(ask)}
    assert tables["http"] == tables["stdio"]
    page = PAGE.read_text(encoding="utf-8")
    now = with_tables(page, tables["stdio"])
    if os.environ.get("REWRITE_PAGES"):
        PAGE.write_text(now, encoding="utf-8")
    else:
        assert now == page, "the page is out of date: REWRITE_PAGES=1 writes it again"
