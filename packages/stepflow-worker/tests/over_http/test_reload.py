"""`--reload` over HTTP: all that is told of components, and all that they answer, follows the files."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

SOURCE = """
@server.component
def value(input): return 1

@server.component
async def held(input, context: StepflowContext):
    await context.get_blob("go on")
    return 1
"""


def save(worker: "HttpWorker", folder: Path, text: str) -> None:
    """Save the components with another text, and wait until that is served."""
    (folder / "components.py").write_text(text)
    patience = time.monotonic() + 30
    while "is served from now on" not in worker.stderr:
        worker.get("/health")
        assert time.monotonic() < patience, worker.stderr


def test_saved_components_are_served_and_listed(serve: "Serve", tmp_path: Path) -> None:
    worker = serve(SOURCE, "--reload")
    assert worker.output("/value") == 1
    text = (tmp_path / "components.py").read_text()
    save(worker, tmp_path, text.replace("def value(input): return 1", "def worth(input): return 2"))
    assert worker.output("/worth") == 2
    listed = worker.get("/components").json["components"]
    assert [each["component"] for each in listed] == ["/worth", "/held"]


def test_an_open_stream_ends_with_the_code_that_it_began_with(
    serve: "Serve", tmp_path: Path
) -> None:
    worker = serve(SOURCE, "--reload")
    stream = worker.begin("/held")
    asked = stream.message()
    text = (tmp_path / "components.py").read_text()
    save(worker, tmp_path, text.replace("return 1", "return 2"))
    worker.give_blob(asked, None)
    assert stream.message()["result"] == {"output": 1}
    assert worker.output("/value") == 2
