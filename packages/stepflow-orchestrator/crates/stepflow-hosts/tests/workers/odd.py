"""Answers each execute in the odd way that its input names."""

import json
import os
import sys

import wire


def write(line):
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def answer(request_id, output, end=b"\n"):
    message = {"jsonrpc": "2.0", "id": request_id, "result": {"output": output}}
    write(json.dumps(message).encode() + end)


wire.greet(capabilities={"max_concurrency": 4})
for request in wire.executes():
    number = request["id"]
    match request["params"]["input"]:
        case "ids of other types":
            for wrong in (str(number), number + 0.5, None, [number], {"id": number}, True):
                answer(wrong, "wrong")
            answer(number, "right")
        case "an id that was never asked":
            answer(number + 1000, "wrong")
            answer(number, "right")
        case "the same id twice":
            answer(number, "right")
            answer(number, "wrong")
        case "crlf":
            answer(number, "right", b"\r\n")
        case "in pieces":
            for byte in json.dumps({"id": number, "result": {"output": "right"}}).encode() + b"\n":
                write(bytes([byte]))
        case "invalid utf-8":
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"output":"\xff"}}\n' % number)
        case "not json":
            write(b'{"jsonrpc":"2.0","id":99%d,"result":{"output":[}}\n' % number)
            write(b'[%d, {"id":%d}, NaN]\n' % (number, number))
            answer(number, "right")
        case "a number that is none":
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"output":{"x":NaN}}}\n' % number)
        case "a raw control character":
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"output":"\x01"}}\n' % number)
        case "an error that is not json":
            write(
                b'{"jsonrpc":"2.0","id":%d,"error":{"code":-32003,"message":"m","data":Infinity}}\n'
                % number
            )
        case "too deep":
            output = b"[" * 200 + b"]" * 200
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"output":%s}}\n' % (number, output))
        case "a key twice":
            output = b'{"rows":[{"a":1},{"1":1,"\\u0031":2}]}'
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"output":%s}}\n' % (number, output))
        case "half a pair":
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"output":"\\ud800"}}\n' % number)
        case "a failure with such data":
            data = b'{"retryable":false,"code":7,"data":{"a":1,"a":2}}'
            error = b'{"code":-32003,"message":"m","data":%s}' % data
            write(b'{"jsonrpc":"2.0","id":%d,"error":%s}\n' % (number, error))
        case "a request with the name of a notification":
            wire.send({"jsonrpc": "2.0", "id": "x", "method": "initialized", "params": {}})
            answer(number, wire.receive()["error"]["code"])
        case "a blob as deep as values are":
            deep = b"[" * 128 + b"]" * 128
            write(
                b'{"id":"x","method":"blobs/put","params":{"data":%s,"blob_type":"data"}}\n' % deep
            )
            blob = wire.receive()["result"]
            wire.send({"id": "y", "method": "blobs/get", "params": blob})
            answer(number, json.dumps(wire.receive()["result"]["data"]) == deep.decode())
        case "blobs that are not of their type":
            messages = []
            for blob in (["not b64!", "binary"], [5, "binary"], ["x", "flow"], ["eA", "binary"]):
                params = dict(zip(("data", "blob_type"), blob, strict=True))
                wire.send({"id": "x", "method": "blobs/put", "params": params})
                error = wire.receive()["error"]
                messages.append([error["code"], error["message"]])
            answer(number, messages)
        case "a blob with a key twice":
            write(b'{"id":"x","method":"blobs/put","params":{"data":[{"a":1,"a":2}]}}\n')
            answer(number, wire.receive()["error"])
        case "half a line":
            write(b'{"jsonrpc":"2.0","id":%d,"resu' % number)
            os._exit(0)
        case "half a line that is whole":
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"output":"right"}}' % number)
            os._exit(1)
        case "an endless line":
            piece = b"x" * (1 << 20)
            for _ in range(6):
                write(piece)
        case "a child that lives on":
            # It has its own session, so that the end of the process group does not reach it, and holds the pipes
            # until the server lets go of them.
            if os.fork() == 0:
                os.setsid()
                sys.stdin.buffer.read()
                os._exit(0)
            os._exit(3)
        case other:
            answer(number, other)
