"""Asks the server for runs while its executes are open: it answers each when its own question has been answered, and
takes others meanwhile. `--legacy` announces nothing and names no task, as the published workers.

`/ask` asks what its input says and returns the reply. `/nest` runs the flow of its input one level further down and
returns what became of it.
`/both` runs a flow twice at once. `/reuse` gives two runs one key. `/again` asks in each of two attempts, of which the first fails. `/fails` asks and
then fails. `/hold` answers when it is cancelled. `/count` returns how often it was called."""

import itertools
import os
import sys

sys.path.insert(0, os.environ["WIRE"])
import wire

LEGACY = "--legacy" in sys.argv
PATHS = ("/ask", "/nest", "/both", "/reuse", "/again", "/fails", "/hold", "/count", "/echo")
CAPABILITIES = {"max_concurrency": int(os.environ.get("CAPACITY", "8")), "cancel": True}

wire.greet([{"component": path} for path in PATHS], None if LEGACY else CAPABILITIES)

numbers = itertools.count(1)
waiting = {}
held = {}
asked = {}
counted = itertools.count(1)


def ask(execute, method, params, then):
    """Asks, inside an execute; `then` takes the reply."""
    number = f"mine-{next(numbers)}"
    inside = execute["params"]
    if LEGACY:
        params = {"observability": inside["observability"], **params}
    elif method.startswith("runs/"):
        params = {"taskId": inside["task_id"], "attempt": inside["attempt"], **params}
    waiting[number] = then
    wire.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def reply_to(execute):
    """Answers an execute with the reply to its question."""
    return lambda reply: wire.answer(
        execute, {k: reply[k] for k in ("result", "error") if k in reply}
    )


def nest(execute, given):
    if given["left"] == 0:
        return wire.answer(execute, "the bottom")
    below = {
        "flowId": given["flow"],
        "inputs": [{**given, "left": given["left"] - 1}],
        "wait": True,
    }

    def then(reply):
        if "error" in reply:
            wire.refuse(execute, -32003, reply["error"]["message"])
        else:
            wire.answer(execute, reply["result"]["results"][0]["result"])

    ask(execute, "runs/submit", below, then)


def both(execute, given):
    replies = []

    def one(reply):
        replies.append(reply["result"]["status"])
        if len(replies) == 2:
            wire.answer(execute, replies)

    for number in (1, 2):
        below = {"flowId": given["flow"], "inputs": [number], "wait": True}
        ask(execute, "runs/submit", below, one)


def reuse(execute, given):
    """Gives one key to runs of two flows."""
    first, second = ({"flowId": flow, "inputs": [1], "key": "k"} for flow in given)
    answer = reply_to(execute)
    ask(execute, "runs/submit", first, lambda _: ask(execute, "runs/submit", second, answer))


def again(execute, given):
    def then(reply):
        task, attempt = execute["params"]["task_id"], execute["params"]["attempt"]
        asked.setdefault(task, []).append(reply["result"]["runId"])
        if attempt == 1:
            wire.refuse(execute, -32003, "not yet")
        else:
            wire.answer(execute, asked[task])

    ask(execute, given["method"], given["params"], then)


def fails(execute, given):
    ask(
        execute,
        given["method"],
        given["params"],
        lambda _: wire.refuse(execute, -32003, "it fails"),
    )


for message in wire.executes():
    if "method" not in message:
        waiting.pop(message["id"])(message)
        continue
    params = message["params"]
    if message["method"] == "components/cancel":
        if stopped := held.pop((params["task_id"], params["attempt"]), None):
            wire.refuse(stopped, -32005, "cancelled")
        continue
    given = params["input"]
    match params["component"]:
        case "/ask":
            ask(message, given["method"], given["params"], reply_to(message))
        case "/nest":
            nest(message, given)
        case "/both":
            both(message, given)
        case "/reuse":
            reuse(message, given)
        case "/again":
            again(message, given)
        case "/fails":
            fails(message, given)
        case "/hold":
            held[params["task_id"], params["attempt"]] = message
        case "/count":
            wire.answer(message, next(counted))
        case _:
            wire.answer(message, given)
