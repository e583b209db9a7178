"""Has sessions.

`/echo` answers its input, and `/where` the session of the execute. `/mine` returns the answer to its own request,
whose id is the same in every session. For `/missed` that answer is lost once, and `/refuses` never takes it. `/wait`
answers when it is cancelled, `/late` a moment after that. `/cancels` returns how many executes were cancelled. `/crash` ends the process when as many executes wait as its
input says. `/leave` ends the session's stream and holds its answer back: with `--resume` until the stream is
requested again, else for ever.

With `--silent` the stream names no session. With `--reluctant` a lost stream has to be requested twice; with
`--fickle` it ends again at once. `/asked` returns how often it was requested. `/flood` asks for one blob as often as
its input says and takes no answer until `/release` was called; then it returns how many answers there were.
"""

import itertools
import os
import queue
import sys
import threading
import time

import http_wire

RESUMES, SILENT = "--resume" in sys.argv, "--silent" in sys.argv
PORT = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0
# No process knows the sessions of another one.
numbers = itertools.count(1001 if PORT else 1)
waiting = threading.Semaphore(0)
sessions = {}
cancels = []
asked_for_all, released = threading.Event(), threading.Event()


class Session:
    def __init__(self):
        self.replies = queue.Queue()
        self.cancelled = queue.Queue()
        self.misses = queue.SimpleQueue()
        self.stream = None
        self.resumed = threading.Event()
        self.ended = threading.Event()
        self.asked = 0


def open_stream(request):
    key = request.target.partition("sessionId=")[2]
    if not key:
        key = f"s{next(numbers)}"
        sessions[key] = Session()
    elif key not in sessions:
        return request.respond(404, '{"error":{"code":-32000,"message":"no such session"}}')
    else:
        sessions[key].asked += 1
        if "--reluctant" in sys.argv and sessions[key].asked == 1:
            return request.respond(503, '{"error":"not yet"}')
        sessions[key].resumed.set()
    session = sessions[key]
    session.ended.clear()
    request.stream()
    if not SILENT:
        request.chunk(
            "event: endpoint\r\ndata: " + http_wire.text({"endpoint": f"/?sessionId={key}"})
        )
        request.chunk("\r\n\r\n: ping\r\n\r\n")
    if not ("--fickle" in sys.argv and session.asked):
        session.ended.wait()
    request.cut()


def handle(request):
    if request.path == "/runtime/events":
        return open_stream(request)
    if request.path == "/health":
        return request.respond(200)
    key = request.target.partition("sessionId=")[2]
    session = sessions.get(key)
    if session is None and not SILENT:
        return request.respond(404, '{"error":{"code":-32000,"message":"no such session"}}')
    if "method" not in request.message:
        if request.message["id"] == "refused":
            return request.respond(400, '{"error":"no"}')
        if request.message["id"] == "missed" and session.misses.empty():
            session.misses.put(request.message)
            return request.cut()
        if request.message["id"] == "flood":
            released.wait()
        session.replies.put(request.message)
        return request.respond(202)
    if request.message["method"] == "components/cancel":
        cancels.append(request.params)
        session.cancelled.put(request.params)
        return request.respond(202)
    match request.params.get("component"):
        case "/crash":
            for _ in range(request.params["input"]):
                waiting.acquire()
            os._exit(1)
        case "/wait":
            waiting.release()
            error = {"code": -32005, "message": session.cancelled.get()["reason"]}
            answer = {"id": request.message["id"], "error": error, "jsonrpc": "2.0"}
            request.respond(200, http_wire.text(answer))
        case "/late":
            session.cancelled.get()
            time.sleep(0.2)
            request.output("late")
        case "/flood":
            request.stream()
            params = {"data": "x" * (1 << 20), "blob_type": "data"}
            request.event({"jsonrpc": "2.0", "id": "put", "method": "blobs/put", "params": params})
            blob = session.replies.get()["result"]
            for _ in range(request.params["input"]):
                request.event({"id": "flood", "method": "blobs/get", "params": blob})
            asked_for_all.set()
            replies = [session.replies.get() for _ in range(request.params["input"])]
            request.last(sum(reply["result"]["data"][0] == "x" for reply in replies))
        case "/flooded":
            asked_for_all.wait()
            request.output(None)
        case "/release":
            released.set()
            request.output(None)
        case "/asked":
            request.output(session.asked)
        case "/cancels":
            request.output(len(cancels))
        case "/where":
            request.output(key)
        case "/mine" | "/missed" | "/refuses" as component:
            request.stream()
            params = {"data": request.params["input"], "blob_type": "data"}
            key = {"/mine": "same", "/missed": "missed", "/refuses": "refused"}[component]
            request.event({"jsonrpc": "2.0", "id": key, "method": "blobs/put", "params": params})
            request.last(session.replies.get())
        case "/leave":
            session.ended.set()
            if RESUMES:
                session.resumed.wait()
                request.output("kept")
            else:
                del sessions[key]
                threading.Event().wait()
        case _:
            request.output(request.params["input"])


TYPED = {
    "component": "/typed",
    "input_schema": {"type": "object", "properties": {"blob_id": {"type": "string"}}},
}
NAMES = ("/echo", "/where", "/mine", "/missed", "/refuses", "/leave", "/wait", "/late", "/asked")
NAMES = (*NAMES, "/crash", "/flood", "/flooded", "/release")
http_wire.serve(
    handle,
    [*({"component": name} for name in NAMES), TYPED],
    {"max_concurrency": 8, "cancel": True, "resume": RESUMES},
    PORT,
)
