"""The plain worker with one rule broken, for each rule of every transport."""

import json
import threading

from breaking import Breaking
from plain import Execution, Json, Plain, Refused, Say

breaks = Breaking[Plain]()


class Other(Plain):
    """Spells everything in another way."""

    def hear(self, text: bytes, say: Say) -> None:
        super().hear(text, lambda message: say(self.another(message)))

    def another(self, message: Json) -> Json:
        return message


def moved(*codes: int) -> type[Plain]:
    """Uses another number in place of these codes."""

    class Moved(Other):
        def another(self, message: Json) -> Json:
            if message.get("error", {}).get("code") in codes:
                message["error"]["code"] = -32099
            return message

    return Moved


for rule, *codes in (
    ("envelope.notJson", -32700),
    ("envelope.notUtf8", -32700, -32602, -32600),
    ("envelope.invalid", -32600),
    ("envelope.unknownMethod", -32601),
    ("envelope.badParams", -32602),
    ("envelope.duplicateId", -32600),
    ("components.infoUnknown", -32001),
    ("execute.notFound", -32001),
    ("execute.invalidInput", -32002),
    ("execute.failed", -32003),
    ("execute.badOutput", -32003),
    ("execute.deadline", -32004),
    ("requests.refused", -32003),
    ("cancel.running", -32005),
    ("cancel.queued", -32005),
    ("drain.notAccepted", -32006),
    ("drain.legacy", -32000),
    ("http.badMessage", -32700),
):
    breaks(rule)(moved(*codes))


@breaks("envelope.jsonrpc")
class NoVersion(Other):
    def another(self, message: Json) -> Json:
        return {key: value for key, value in message.items() if key != "jsonrpc"}


@breaks("envelope.ids")
class TextIds(Other):
    def another(self, message: Json) -> Json:
        return {**message, "id": str(message["id"])}


@breaks("envelope.oneAnswer")
class AnswersTwice(Plain):
    def hear(self, text: bytes, say: Say) -> None:
        super().hear(text, say)
        if b"components/info" in text or b"initialized" in text:
            say(Refused(-32603, "and once more").answer("more"))


@breaks("envelope.results")
class NullResult(Plain):
    asked_once = False

    def list(self, params: Json) -> Json:
        self.asked_once, asked_before = True, self.asked_once
        return None if asked_before else super().list(params)


@breaks("envelope.notifications")
class AnswersNotifications(Plain):
    def notified(self, method: str, params: Json, say: Say) -> None:
        if method == "no/such/notification":
            raise Refused(-32601, "unknown")


@breaks("envelope.strayAnswers")
class AnswersAnswers(Plain):
    def answered(self, message: Json) -> None:
        if message.get("id") not in self.calls:
            raise Refused(-32600, "nobody asked")
        super().answered(message)


@breaks("envelope.unknownMembers")
class KnowsAllMembers(Plain):
    def list(self, params: Json) -> Json:
        if params:
            raise Refused(-32602, f"unknown: {list(params)}")
        return super().list(params)


@breaks("envelope.nulls")
class NullIsAValue(Plain):
    def initialize(self, params: Json) -> Json:
        if "capabilities" in params and params["capabilities"] is None:
            raise Refused(-32602, "`capabilities` is null")
        return super().initialize(params)


@breaks("envelope.survives")
class DiesOfDepth(Plain):
    def read(self, text: bytes) -> Json:
        if text.startswith(b"[[["):
            threading.Event().wait()
        return super().read(text)


@breaks("handshake.initialize")
class NextVersion(Plain):
    def initialize(self, params: Json) -> Json:
        return {**super().initialize(params), "server_protocol_version": 2}


@breaks("handshake.anyVersion")
class OneVersion(Plain):
    def initialize(self, params: Json) -> Json:
        if params["runtime_protocol_version"] != 1:
            raise Refused(-32602, "version 1 only")
        return super().initialize(params)


@breaks("handshake.capabilities")
class WrongCapabilities(Plain):
    def initialize(self, params: Json) -> Json:
        result = super().initialize(params)
        return {**result, "capabilities": {**self.capabilities, "max_concurrency": "many"}}


@breaks("handshake.unknownCapabilities")
class KnowsAllCapabilities(Plain):
    def initialize(self, params: Json) -> Json:
        if (params.get("capabilities") or {}).keys() - {"resume"}:
            raise Refused(-32602, "an unknown capability")
        return super().initialize(params)


@breaks("handshake.executeBefore")
class WantsHandshake(Plain):
    shaken = False

    def initialize(self, params: Json) -> Json:
        self.shaken = True
        return super().initialize(params)

    def execute(self, id: Json, params: Json, say: Say) -> None:
        if not self.shaken:
            raise Refused(-32000, "initialize first")
        super().execute(id, params, say)


@breaks("handshake.silent")
class AsksUnasked(Plain):
    def hear(self, text: bytes, say: Say) -> None:
        super().hear(text, say)
        if b'"initialize"' in text:
            say({"jsonrpc": "2.0", "id": "own", "method": "blobs/get", "params": {}})


@breaks("components.list")
class ListsTwice(Plain):
    def list(self, params: Json) -> Json:
        return {"components": super().list(params)["components"] * 2}


@breaks("components.info")
class OtherWords(Plain):
    def info(self, params: Json) -> Json:
        return {"info": {**super().info(params)["info"], "description": "in other words"}}


@breaks("components.inferSchema")
class InfersText(Plain):
    def infer_schema(self, params: Json) -> Json:
        return {"output_schema": "string"}


@breaks("execute.output")
class OutputBare(Other):
    def another(self, message: Json) -> Json:
        if "output" in (message.get("result") or {}):
            message["result"] = message["result"]["output"]
        return message


@breaks("execute.attempt")
class FirstAttempt(Plain):
    def task(self, execution: Execution) -> Json:
        return {**super().task(execution), "attempt": 1}


@breaks("execute.bareParams")
class WantsRun(Plain):
    def execute(self, id: Json, params: Json, say: Say) -> None:
        if "run_id" not in params["observability"]:
            raise Refused(-32602, "no `run_id`")
        super().execute(id, params, say)


@breaks("execute.values")
class RoundsNumbers(Plain):
    def call(self, execution: Execution) -> Json:
        text = json.dumps(execution.params["input"])
        execution.params["input"] = json.loads(text, parse_int=float)
        return super().call(execution)


@breaks("execute.concurrent")
class OneAtATime(Plain):
    def limit(self) -> int:
        return 1


@breaks("execute.queues")
class RefusesAbove(Plain):
    def execute(self, id: Json, params: Json, say: Say) -> None:
        if len(self.executions) >= 3:
            raise Refused(-32603, "too busy")
        super().execute(id, params, say)


@breaks("requests.task")
class ForgetsTask(Plain):
    def task(self, execution: Execution) -> Json:
        return {}


@breaks("requests.ids")
class OneId(Plain):
    def new_id(self) -> Json:
        return "always"


@breaks("requests.blobs")
class ForgetsType(Plain):
    def ask(self, execution: Execution, method: str, params: Json) -> Json:
        return super().ask(execution, method, {**params, "blob_type": None})


@breaks("requests.anyOrder")
class FirstFirst(Plain):
    """Gives an answer to the request that has waited longest."""

    def answered(self, message: Json) -> None:
        oldest = next(iter(self.calls), None)
        super().answered({**message, "id": oldest})


@breaks("requests.runs")
class SnakeCase(Plain):
    def ask(self, execution: Execution, method: str, params: Json) -> Json:
        if method == "runs/submit":
            params["flow_id"] = params.pop("flowId")
        return super().ask(execution, method, params)


@breaks("cancel.attempt")
class CancelsAllAttempts(Plain):
    def cancel(self, params: Json) -> None:
        for execution in list(self.executions):
            if execution.params.get("task_id") == params["task_id"]:
                self.stop(execution)


@breaks("cancel.unknown")
class AnswersCancels(Plain):
    def notified(self, method: str, params: Json, say: Say) -> None:
        if method == "components/cancel":
            say(Refused(-32001, "not open").answer(None))


@breaks("session.closed")
class IgnoresStops(Plain):
    def stop(self, execution: Execution) -> None:
        pass


@breaks("session.repeated")
class RunsAgain(Plain):
    def repeats(self, id: Json, params: Json, say: Say) -> bool:
        return False
