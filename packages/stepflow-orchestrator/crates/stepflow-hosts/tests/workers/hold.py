"""Takes one execute at a time. The input `hold` is never answered; a cancel answers it with CANCELLED."""

import wire

wire.greet(capabilities={"max_concurrency": 1, "cancel": True})
held = None
for request in wire.executes():
    if request["method"] == "components/cancel":
        assert (
            request["params"]["attempt"] == 1
            and request["params"]["task_id"]
            and "id" not in request
        )
        wire.refuse(held, -32005, request["params"]["reason"])
    elif request["params"]["input"] == "hold":
        held = request
    else:
        wire.answer(request, request["params"]["input"])
