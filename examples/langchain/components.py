"""A LangChain chain as a component. The model is a fake one; any chat model takes its place."""

from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

from stepflow.worker import StepflowServer

server = StepflowServer()


@server.langchain_component
def headline() -> Runnable[dict[str, str], str]:
    """Finds a headline for a text."""
    prompt = ChatPromptTemplate.from_template("Write a headline of at most five words for: {text}")
    model = FakeListChatModel(responses=["Rain stays away in August"])
    return prompt | model | StrOutputParser()
