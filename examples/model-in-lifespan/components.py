"""Finds the mood of sentences with a model that is loaded once, before the first step."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from stepflow.worker import StepflowContext, StepflowServer

_loadings = itertools.count(1)


class Model(NamedTuple):
    weights: dict[str, int]
    loading: int


class Sentence(msgspec.Struct):
    text: str


class Mood(msgspec.Struct):
    mood: str
    loading: int
    """How many times the model had been loaded."""


@asynccontextmanager
async def load_model(server: StepflowServer) -> AsyncIterator[Model]:
    weights = json.loads(Path(__file__).with_name("model.json").read_text("utf-8"))
    yield Model(weights, next(_loadings))
    # Release resources here, after the last execute.


server = StepflowServer(lifespan=load_model)


@server.component
def mood(input: Sentence, context: StepflowContext) -> Mood:
    """Adds up the weights of the words in a sentence."""
    model: Model = context.state
    score = sum(model.weights.get(word.strip(".,!?").lower(), 0) for word in input.text.split())
    return Mood("good" if score > 0 else "bad" if score < 0 else "even", model.loading)
