"""`--reload`: new code is served, open executes go on with the old code, and broken code changes nothing."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

SOURCE = """
import contextlib, parts

@contextlib.asynccontextmanager
async def lifespan(server):
    print("entered", parts.VALUE, file=sys.stderr)
    yield parts.VALUE
    print("left", parts.VALUE, file=sys.stderr)

server = StepflowServer(lifespan=lifespan, include_builtins=False)

@server.component
def value(input):
    return parts.VALUE

@server.component
async def value_on_loop(input):
    return parts.VALUE

@server.component
def held(input, context: StepflowContext):
    context.sync.get_blob("go on")
    return [parts.VALUE, context.state]
"""

Save = Callable[[str, str], None]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save a file as an editor does: a new file replaces the old one."""

    def saved(name: str, text: str) -> None:
        (tmp_path / "draft").write_text(text, encoding="utf-8")
        os.replace(tmp_path / "draft", tmp_path / name)

    return saved


@pytest.fixture
def worker(start: "Start", save: Save) -> "Worker":
    save("parts.py", "VALUE = 1")
    worker = start(SOURCE, "--reload")
    assert worker.output("/value") == 1
    return worker


@pytest.mark.parametrize("component", ["/value", "/value_on_loop"])
def test_a_saved_module_is_served(worker: "Worker", save: Save, component: str) -> None:
    save("parts.py", "VALUE = 2")
    worker.wait_for_stderr("`parts.py` changed, and is served from now on")
    assert worker.output(component) == 2


def test_a_second_save_is_served_too(worker: "Worker", save: Save) -> None:
    for value in (2, 3):
        save("parts.py", f"VALUE = {value}")
        worker.wait_for_stderr(f"left {value - 1}")
        assert worker.output("/value") == value


def test_the_target_itself_is_watched(worker: "Worker", tmp_path: Path, save: Save) -> None:
    text = (tmp_path / "components.py").read_text()
    save("components.py", text.replace("return parts.VALUE", "return 'changed'"))
    worker.wait_for_stderr("`components.py` changed, and is served from now on")
    assert worker.output("/value") == "changed"


def test_open_executes_go_on_with_their_code_and_their_lifespan(
    worker: "Worker", save: Save
) -> None:
    old = worker.begin_execute("/held")
    held = worker.called("blobs/get")
    save("parts.py", "VALUE = 2")
    worker.wait_for_stderr("is served from now on")
    new = worker.begin_execute("/held")
    worker.give_blob(worker.called("blobs/get"), None)
    assert worker.answer(new)["result"] == {"output": [2, 2]}
    assert "left 1" not in worker.stderr
    worker.give_blob(held, None)
    assert worker.answer(old)["result"] == {"output": [1, 1]}
    worker.wait_for_stderr("left 1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("VALUE = (", "SyntaxError"),
        ("VALUE = 1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("", "AttributeError: module 'parts' has no attribute 'VALUE'"),
    ],
)
def test_a_broken_file_is_reported_and_changes_nothing(
    worker: "Worker", save: Save, text: str, said: str
) -> None:
    save("parts.py", text)
    worker.wait_for_stderr("`parts.py` changed, but what was served before still is")
    assert said in worker.stderr
    assert "thread.py" not in worker.stderr, "the frames that lead to the file are ours"
    assert worker.output("/value") == 1
    save("parts.py", "VALUE = 3")
    worker.wait_for_stderr("is served from now on")
    assert worker.output("/value") == 3


def test_a_new_file_that_is_broken_is_watched_too(
    worker: "Worker", tmp_path: Path, save: Save
) -> None:
    save("more.py", "VALUE = (")
    text = (tmp_path / "components.py").read_text()
    save(
        "components.py",
        text.replace("import contextlib, parts", "import contextlib, more as parts"),
    )
    worker.wait_for_stderr("SyntaxError")
    save("more.py", "VALUE = 4")
    worker.wait_for_stderr("`more.py` changed, and is served from now on")
    assert worker.output("/value") == 4


def test_new_and_removed_paths_are_reported(worker: "Worker", tmp_path: Path, save: Save) -> None:
    text = (tmp_path / "components.py").read_text()
    save("components.py", text.replace("def value(", "def worth("))
    worker.wait_for_stderr("gone: `/value`;")
    assert "new: `/worth`; the server learns of it" in worker.stderr
    assert worker.output("/worth") == 1


def test_the_end_leaves_the_lifespan_that_is_served(worker: "Worker", save: Save) -> None:
    save("parts.py", "VALUE = 2")
    worker.wait_for_stderr("left 1")
    worker.close_input()
    assert worker.wait() == 0
    assert worker.stderr.count("left 2") == 1


def test_a_package_is_watched_as_a_whole(start: "Start", tmp_path: Path, save: Save) -> None:
    (tmp_path / "flows").mkdir()
    save("flows/__init__.py", "")
    save("flows/parts.py", "VALUE = 1")
    head = "from flows import parts\nfrom stepflow.worker import StepflowServer\n"
    rest = "server = StepflowServer()\n@server.component\ndef value(input): return parts.VALUE"
    save("flows/components.py", head + rest)
    worker = start("", "flows.components", "--reload", command=("stepflow-worker",), head="")
    assert worker.output("/value") == 1
    save("flows/parts.py", "VALUE = 2")
    worker.wait_for_stderr("is served from now on")
    assert worker.output("/value") == 2


# `sys` keeps the list of weak references when the modules are unloaded, so that all versions use the same list.
COUNTED = """
import contextlib, dataclasses, gc, typing, weakref
from contextvars import ContextVar

versions = sys.__dict__.setdefault("versions", [])

class Model(msgspec.Struct):
    n: int

@dataclasses.dataclass
class Data:
    model: typing.Optional[Model] = None

class Mine:
    pass

mine = ContextVar("mine")

@contextlib.asynccontextmanager
async def lifespan(server):
    mine.set(Mine())
    yield Mine()

server = StepflowServer(lifespan=lifespan)

@server.component(max_concurrency=1, timeout="30s")
def limited(input: Model, context: StepflowContext) -> Data:
    return Data(input)

@server.component(inline=True)
def inline(input: Data) -> Model:
    return input.model

@server.component(max_concurrency=1)
async def awaited(input: typing.Optional[Model]) -> typing.Any:
    return Data(input)

@server.component(name="a/{x}")
async def fails(input, x: str) -> Data:
    raise ComponentError("no", data=Data(None))

@server.component
def left(input) -> int:
    gc.collect()
    return sum(each() is not None for each in versions)

versions += map(weakref.ref, (sys.modules[__name__], Model, Data, Mine, server, limited))
"""
OF_ONE_VERSION = 6


HEAD = """
import asyncio, os, sys, threading, time
import msgspec
from stepflow.worker import ComponentError, ServerGone, StepflowContext, StepflowServer
"""


def use_all(output: "Callable[[str, object], object]", fails: "Callable[[str], object]") -> None:
    assert output("/limited", {"n": 1}) == {"model": {"n": 1}}
    assert output("/inline", {"model": {"n": 1}}) == {"n": 1}
    assert output("/awaited", {"n": 1}) == {"model": {"n": 1}}
    fails("/a/b")


def test_old_code_is_removed_from_memory_when_no_execute_uses_it(
    start: "Start", save: Save
) -> None:
    worker = start(COUNTED, "--reload", head=HEAD)
    for version in range(3):
        use_all(worker.output, worker.execute)
        text = COUNTED.replace("def left", f"def left_{version}")
        save("components.py", HEAD + text)
        worker.wait_until(partial(is_served, worker, version), "the new code is served")
        worker.wait_until(partial(is_alone, worker, version), "the old code is forgotten")


def is_served(worker: "Worker", version: int) -> bool:
    return "result" in worker.execute(f"/left_{version}")


def is_alone(worker: "Worker", version: int) -> bool:
    return bool(worker.output(f"/left_{version}") == OF_ONE_VERSION)
