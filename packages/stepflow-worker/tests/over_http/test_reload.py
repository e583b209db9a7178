"""`--reload` over HTTP: the list of components and their answers change with the files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

SOURCE = """
@server.component
def value(input): return 1

@server.component
async def held(input, context: StepflowContext):
    await context.get_blob("go on")
    return 1
"""


def save(worker: "HttpWorker", folder: Path, text: str) -> None:
    """Save another text of the components, and wait until it is served."""
    (folder / "components.py").write_text(text)
    worker.wait_for_stderr("is served from now on")


def test_saved_components_are_served_and_listed(serve: "Serve", tmp_path: Path) -> None:
    worker = serve(SOURCE, "--reload")
    assert worker.output("/value") == 1
    text = (tmp_path / "components.py").read_text()
    save(worker, tmp_path, text.replace("def value(input): return 1", "def worth(input): return 2"))
    assert worker.output("/worth") == 2
    listed = worker.get("/components").json["components"]
    assert [each["component"] for each in listed] == ["/worth", "/held"]


def test_an_open_stream_ends_with_the_code_that_it_began_with(
    serve: "Serve", tmp_path: Path
) -> None:
    worker = serve(SOURCE, "--reload")
    stream = worker.begin("/held")
    asked = stream.message()
    text = (tmp_path / "components.py").read_text()
    save(worker, tmp_path, text.replace("return 1", "return 2"))
    worker.give_blob(asked, None)
    assert stream.message()["result"] == {"output": 1}
    assert worker.output("/value") == 2


# `sys` keeps the list of weak references when the modules are unloaded, so that all versions use the same list.
COUNTED = """
import asyncio, gc, msgspec, sys, weakref
from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()
versions = sys.__dict__.setdefault("versions", [])

class Model(msgspec.Struct):
    n: int

@server.component(max_concurrency=1, timeout="30s")
def limited(input: Model, context: StepflowContext) -> Model:
    return input

@server.component(max_concurrency=1)
async def awaited(input: Model, context: StepflowContext) -> Model:
    return input

@server.component
def left(input) -> int:
    gc.collect()
    return sum(each() is not None for each in versions)

versions += map(weakref.ref, (sys.modules[__name__], Model, server, limited))
"""
OF_ONE_VERSION = 4


def test_old_code_is_removed_from_memory_when_no_execute_uses_it(
    serve: "Serve", tmp_path: Path
) -> None:
    worker = serve(COUNTED, "--reload")
    session = worker.session()
    session.initialize(resume=True)
    for component in ("/limited", "/awaited"):
        for client in (worker, session):
            stream = client.begin(component, {"n": 1}, task=component)
            assert stream.message()["result"] == {"output": {"n": 1}}
            stream.close()
    save(worker, tmp_path, COUNTED + "\n")
    worker.wait_until(lambda: worker.output("/left") == OF_ONE_VERSION, "the old code is forgotten")
