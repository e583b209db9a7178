"""Over stdio: lines, other output that must not be among them, and the end of the input."""

from stepflow.protocol import Method
from stepflow.testing.conformance._expect import ensure, equal, output, result
from stepflow.testing.conformance._failures import Unreachable
from stepflow.testing.conformance._rule import stdio_rule
from stepflow.testing.conformance._stdio_worker import StdioWorker

LONG = 4 << 20
NOISE = "noise that is not a message"


def _list(worker: StdioWorker, id: int) -> bytes:
    return worker.text(id=id, method=Method.components_list, params={})


@stdio_rule("stdio.lines")
def lines(worker: StdioWorker) -> None:
    """A message is one line, with any characters."""
    text = "one\ntwo\r\nthree\u2028four\x85"
    equal(output(worker.execute(worker.probe("echo"), text)), text, "the output")


@stdio_rule("stdio.longLines")
def long_lines(worker: StdioWorker) -> None:
    """A line may be long; this checks 4 MiB."""
    text = "x" * LONG
    found = output(worker.execute(worker.probe("echo"), text))
    ensure(found == text, "the output of a long line is another text")


@stdio_rule("stdio.crlf")
def crlf(worker: StdioWorker) -> None:
    """A line may end with CRLF."""
    worker.write(_list(worker, 1001) + b"\r\n")
    result(worker.answer(1001))


@stdio_rule("stdio.blankLines")
def blank_lines(worker: StdioWorker) -> None:
    """Blank lines are ignored."""
    worker.write(b"\n\r\n \t \n")
    ensure(not worker.came_before_a_ping(), "a blank line was answered")


@stdio_rule("stdio.pieces")
def pieces(worker: StdioWorker) -> None:
    """A line may arrive in pieces, and several lines at once."""
    line = _list(worker, 2000) + b"\n"
    for index in range(0, len(line), 7):
        worker.write(line[index : index + 7])
    result(worker.answer(2000))
    many = range(2001, 2051)
    worker.write(b"".join(_list(worker, id) + b"\n" for id in many))
    for id in many:
        result(worker.answer(id))


@stdio_rule("stdio.noise", fresh=True)
def noise(worker: StdioWorker) -> None:
    """Only messages are written to stdout, until the worker ends."""
    worker.handshake()
    equal(output(worker.execute(worker.probe("noise"), NOISE)), NOISE, "the output")
    worker.close_input()
    worker.must_exit()
    try:
        while True:
            worker.receive()
    except Unreachable:
        return


@stdio_rule("stdio.input", fresh=True)
def input_(worker: StdioWorker) -> None:
    """Components do not read from the protocol's input."""
    worker.handshake()
    executes = [worker.begin_execute(worker.probe("noise"), NOISE) for _ in range(2)]
    ids = [worker.begin(Method.components_list, {}) for _ in range(20)]
    for id in executes:
        output(worker.answer(id))
    for id in ids:
        result(worker.answer(id))


@stdio_rule("stdio.eof", fresh=True)
def eof(worker: StdioWorker) -> None:
    """At the end of its input a worker exits 0."""
    worker.handshake()
    worker.close_input()
    worker.must_exit()


@stdio_rule("stdio.eofFinishes", fresh=True)
def eof_finishes(worker: StdioWorker) -> None:
    """At the end of its input a worker lets open executes finish."""
    worker.handshake()
    id = worker.begin_execute(worker.probe("sleep"), {"seconds": 0.5})
    worker.close_input()
    output(worker.answer(id))
    worker.must_exit()
