"""`stuck` is never answered. `{"until": path}` is answered when that pipe has been opened and closed; anything else at
once. Its answers are its process id. `--legacy` announces no capabilities."""

import os
import sys
import threading

import wire

turn = threading.Lock()


def answer(request):
    with turn:
        wire.answer(request, os.getpid())


def wait(request):
    with open(request["params"]["input"]["until"]) as pipe:
        pipe.read()
    answer(request)


capabilities = {"max_concurrency": int(sys.argv[1]), "cancel": True, "version": "1.4"}
wire.greet(capabilities=None if "--legacy" in sys.argv else capabilities)
for message in wire.executes():
    match message:
        case {"params": {"input": {"until": _}}}:
            threading.Thread(target=wait, args=[message], daemon=True).start()
        case {"params": {"input": "stuck"}} | {"method": "components/cancel"}:
            pass
        case _:
            answer(message)
