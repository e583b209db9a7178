"""All ways in which a component can end, over both transports: its execute is answered once, and its place is free."""

from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker
    from over_http.conftest import HttpWorker, Serve

    AnyWorker: TypeAlias = Worker | HttpWorker

SOURCE = """
@server.component
async def echo(input):
    return input

@server.component
async def cancels_itself(input):
    asyncio.current_task().cancel()
    await asyncio.sleep(600)

@server.component
async def is_cancelled_by_its_child(input):
    parent = asyncio.current_task()
    async def child():
        parent.cancel()
    await asyncio.create_task(child())
    await asyncio.sleep(600)

@server.component
async def is_cancelled_later(input):
    asyncio.get_running_loop().call_later(0.01, asyncio.current_task().cancel)
    await asyncio.sleep(600)

@server.component
async def returns_though_cancelled(input):
    asyncio.current_task().cancel()
    return input

@server.component
async def is_closed(input):
    asyncio.get_running_loop().call_later(0.01, asyncio.current_task().get_coro().close)
    await asyncio.sleep(600)

@server.component
async def cancels_all(input):
    await asyncio.sleep(0)
    for each in asyncio.all_tasks():
        each.cancel()
    await asyncio.sleep(600)

@server.component
async def stops_its_loop(input):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return input

class Refuses(type):
    def __getattribute__(cls, name):
        if name in ("__qualname__", "__module__", "__name__"):
            raise RuntimeError("no name")
        return super().__getattribute__(name)

class Lies(type):
    def __getattribute__(cls, name):
        return 7 if name in ("__qualname__", "__module__", "__name__") else super().__getattribute__(name)

class Nameless(Exception, metaclass=Refuses):
    pass

class Misnamed(Exception, metaclass=Lies):
    pass

class Untold(Exception):
    def __getattribute__(self, name):
        raise Nameless

@server.component
async def raises(input):
    raise {"refused": Nameless, "no text": Misnamed, "untold": Untold}[input]

@server.component
def raises_in_a_thread(input):
    raise {"refused": Nameless, "no text": Misnamed, "untold": Untold}[input]

@server.component
async def exits_in_a_task(input):
    class Exit(SystemExit, metaclass=Refuses):
        pass
    async def exits():
        raise Exit
    try:
        await asyncio.create_task(exits())
    except SystemExit:
        return input

@server.component
async def sets_a_task_factory(input):
    def old(loop, coroutine):
        return asyncio.Task(coroutine, loop=loop)
    def broken(loop, coroutine, **more):
        raise RuntimeError("no tasks today")
    asyncio.get_running_loop().set_task_factory({"old": old, "broken": broken}[input])
"""


@pytest.fixture(params=["stdio", "http"])
def worker(request: pytest.FixtureRequest, start: "Start", serve: "Serve") -> "AnyWorker":
    """A worker that runs one execute at a time: if a place is lost, the next execute does not run."""
    begin = start if request.param == "stdio" else serve
    return begin(SOURCE, "--max-concurrency", "1")


@pytest.mark.parametrize(
    "component", ["/cancels_itself", "/is_cancelled_by_its_child", "/is_cancelled_later"]
)
def test_a_component_that_cancels_itself_is_a_failure(worker: "AnyWorker", component: str) -> None:
    error = worker.execute(component)["error"]
    assert (error["code"], error["data"]["type"]) == (-32003, "asyncio.exceptions.CancelledError")
    assert worker.output("/echo", 1) == 1


def test_a_component_that_returns_although_it_was_cancelled_has_its_output(
    worker: "AnyWorker",
) -> None:
    assert worker.output("/returns_though_cancelled", 5) == 5
    assert worker.output("/echo", 1) == 1


def test_a_coroutine_that_is_closed_is_a_failure(worker: "AnyWorker") -> None:
    error = worker.execute("/is_closed")["error"]
    assert (error["code"], error["data"]["type"]) == (-32003, "GeneratorExit")
    assert worker.output("/echo", 1) == 1


def test_over_http_a_component_may_cancel_every_task_that_it_finds(serve: "Serve") -> None:
    lifespan = """
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(server):
        yield
        print("left", file=sys.stderr)

    server = StepflowServer(lifespan=lifespan)
    """
    worker = serve(lifespan.replace("\n    ", "\n") + SOURCE)
    for _ in range(3):
        assert worker.execute("/cancels_all")["error"]["code"] == -32003
        assert worker.output("/echo", 1) == 1
    assert "left" not in worker.stderr
    worker.process.terminate()
    assert worker.wait() == 0
    assert worker.stderr == "left\n"


def test_over_http_a_task_that_is_cancelled_before_it_begins_is_a_failure(serve: "Serve") -> None:
    source = """
    is_over = threading.Event()

    @server.component
    async def cancels_others(input):
        while not is_over.is_set():
            for each in asyncio.all_tasks() - {asyncio.current_task()}:
                each.cancel()
            await asyncio.sleep(0)

    @server.component
    def ends_that(input):
        is_over.set()
    """
    worker = serve(source.replace("\n    ", "\n") + SOURCE)
    cancels = worker.begin_unread("/cancels_others")
    codes = [worker.execute("/is_cancelled_later")["error"]["code"] for _ in range(10)]
    assert codes == [-32003] * 10
    worker.output("/ends_that")
    assert cancels.getresponse().status == 200
    assert worker.output("/echo", 1) == 1


def test_a_loop_that_a_component_stops_goes_on(worker: "AnyWorker") -> None:
    for _ in range(3):
        assert worker.output("/stops_its_loop", 5) == 5
    assert worker.output("/echo", 1) == 1
    worker.process.terminate()
    assert worker.wait() == 0


@pytest.mark.parametrize("component", ["/raises", "/raises_in_a_thread"])
def test_an_exception_whose_name_cannot_be_read_is_a_failure(
    worker: "AnyWorker", component: str
) -> None:
    for how, name in [("refused", "Nameless"), ("no text", "Misnamed"), ("untold", "Untold")]:
        error = worker.execute(component, how)["error"]
        assert (error["code"], error["data"]["type"].split(".")[-1]) == (-32003, name)
    assert worker.output("/echo", 1) == 1


def test_an_exit_whose_name_cannot_be_read_does_not_end_the_loop(worker: "AnyWorker") -> None:
    assert worker.output("/exits_in_a_task", 5) == 5
    assert worker.output("/echo", 1) == 1


@pytest.mark.parametrize("factory", ["old", "broken"])
def test_executes_do_not_use_the_components_task_factory(worker: "AnyWorker", factory: str) -> None:
    worker.output("/sets_a_task_factory", factory)
    for _ in range(3):
        assert worker.output("/echo", 1) == 1
    worker.process.terminate()
    assert worker.wait() == 0
