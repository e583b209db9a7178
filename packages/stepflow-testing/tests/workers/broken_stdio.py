"""The plain worker over stdio, with one rule of this transport broken."""

import os
from collections.abc import Iterator

from breaking import Breaking
from plain import Json, written
from plain_stdio import Stdio

breaks = Breaking[Stdio]()


@breaks("stdio.lines")
class Indented(Stdio):
    def say(self, message: Json) -> None:
        text = written(message)
        # Unescaped, as a line break is in a language where strings hold it as it is.
        self.write(text.replace(b"\\n", b"\n") + b"\n")


@breaks("stdio.longLines")
class ShortLines(Stdio):
    def line(self, line: bytes) -> None:
        if len(line) > 1 << 20:
            self.leave(1)
        super().line(line)


@breaks("stdio.crlf")
class BareLines(Stdio):
    def line(self, line: bytes) -> None:
        if line.endswith(b"\r"):
            return
        super().line(line)


@breaks("stdio.blankLines")
class BlankIsMessage(Stdio):
    def line(self, line: bytes) -> None:
        self.worker.hear(line, self.say)


@breaks("stdio.pieces")
class WholeReads(Stdio):
    """Treats the bytes of one read as one message."""

    def lines(self) -> Iterator[bytes]:
        while piece := os.read(self.input, 1 << 20):
            yield piece


@breaks("stdio.noise")
class SharedOutput(Stdio):
    def take_streams(self) -> tuple[int, int]:
        input = os.dup(0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        return input, 1


@breaks("stdio.input")
class SharedInput(Stdio):
    def take_streams(self) -> tuple[int, int]:
        output = os.dup(1)
        os.dup2(2, 1)
        return 0, output


@breaks("stdio.eofFinishes")
class LeavesAtOnce(Stdio):
    def drain(self) -> None:
        pass


@breaks("drain.exits")
@breaks("stdio.eof")
class ExitsWithOne(Stdio):
    def leave(self, code: int) -> None:
        os._exit(1)


@breaks("drain.finishes")
class DropsWork(LeavesAtOnce):
    pass
