"""LangChain runnables as components, called as a server calls them."""

from typing import TYPE_CHECKING

import pytest
from langchain_core.load import dumpd
from langchain_core.prompts import PromptTemplate

if TYPE_CHECKING:
    from conftest import Start, Worker

COMPONENTS = """
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda
from stepflow.worker import StepflowServer
from stepflow.worker.langchain import invoke_named

server = StepflowServer(builtins=("langchain",))
server.component(invoke_named)
shouting = RunnableLambda(lambda text: text.upper())
number = 3

@server.langchain_component
def chat():
    '''Answers a question.'''
    return ChatPromptTemplate.from_template("{question}?") | FakeListChatModel(responses=["Yes."])

@server.langchain_component(name="tried", description="Says which try this is.")
def make():
    def told(text: str, config: RunnableConfig) -> list:
        context = config["metadata"]["stepflow_context"]
        return [text, context.attempt, config["tags"], config["metadata"]["mine"]]
    return RunnableLambda(told)

@server.langchain_component
def broken():
    def fail(text): raise ValueError("not today")
    return RunnableLambda(fail)
"""


@pytest.fixture(scope="module")
def worker(start_once: "Start") -> "Worker":
    return start_once(COMPONENTS, head="")


def test_a_chain_is_a_component_and_its_message_is_json(worker: "Worker") -> None:
    output = worker.output("/chat", {"input": {"question": "Really"}})
    assert (output["content"], output["type"]) == ("Yes.", "ai")


def test_its_description_is_the_functions_or_a_given_one(worker: "Worker") -> None:
    listed = worker.request("components/list")["result"]["components"]
    told = {each["component"]: each.get("description") for each in listed}
    assert (told["/chat"], told["/tried"]) == ("Answers a question.", "Says which try this is.")


def test_a_runnable_sees_its_config_and_the_context_in_it(worker: "Worker") -> None:
    config = {"tags": ["a"], "metadata": {"mine": 1}}
    assert worker.output("/tried", {"input": "x", "config": config}) == ["x", 1, ["a"], 1]


def test_what_a_runnable_raises_is_the_components_failure(worker: "Worker") -> None:
    error = worker.execute("/broken", {"input": "x"})["error"]
    assert (error["message"], error["data"]["type"]) == ("not today", "ValueError")


def test_only_the_mode_invoke_is_known(worker: "Worker") -> None:
    answer = worker.execute("/chat", {"input": {}, "execution_mode": "stream"})
    assert answer["error"]["data"] == {"path": "$.execution_mode"}


def test_a_flow_may_contain_its_own_runnable(worker: "Worker") -> None:
    definition = dumpd(PromptTemplate.from_template("Hello {name}"))
    call = {"runnable_definition": definition, "input": {"name": "Ada"}}
    assert worker.output("/langchain/invoke", call)["text"] == "Hello Ada"


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"a": 1}, "`$.runnable_definition` is a `dict`, no LangChain runnable"),
        (
            {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}},
            "cannot be loaded",
        ),
        ({"lc": 1, "type": "not_implemented", "id": ["x"]}, "cannot be loaded"),
    ],
)
def test_a_definition_of_something_else_is_explained(
    worker: "Worker", definition: dict[str, object], said: str
) -> None:
    call = {"runnable_definition": definition, "input": None}
    assert said in worker.execute("/langchain/invoke", call)["error"]["message"]


def test_a_flow_may_name_a_runnable_of_the_worker(worker: "Worker") -> None:
    call = {"import_path": "components.shouting", "input": "ha"}
    assert worker.output("/invoke_named", call) == "HA"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("components.number", "is a `int`, no LangChain runnable"),
        ("components.nothing", "leads to no runnable"),
        ("no_such_module.x", "leads to no runnable: No module named 'no_such_module'"),
        ("alone", "leads to no runnable"),
    ],
)
def test_a_name_of_something_else_is_explained(worker: "Worker", path: str, said: str) -> None:
    answer = worker.execute("/invoke_named", {"import_path": path, "input": None})
    assert said in answer["error"]["message"]


def test_a_function_that_returns_no_runnable_is_refused_at_registration(start: "Start") -> None:
    worker = start("@server.langchain_component\ndef f(): return 3")
    assert worker.wait() == 1
    assert "it returned a `int`" in worker.stderr
