"""`stepflow-worker` before it serves: how it finds the server, and its errors."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepflow.worker._command.command_line import main

if TYPE_CHECKING:
    from conftest import Run

SERVER = "from stepflow.worker import StepflowServer\nserver = StepflowServer()\n"


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("components.py", {"components": SERVER}),
        ("./my-components.py", {"my-components": SERVER}),
        ("components", {"components": SERVER}),
        ("components:server", {"components": SERVER}),
        ("components.py:nlp", {"components": SERVER + "nlp = StepflowServer()"}),
        ("components", {"components": SERVER.replace("server =", "nlp =")}),
        ("components", {"components": "from parts import nlp", "parts": SERVER + "nlp = server"}),
        (
            "components",
            {"components": SERVER + 'if __name__ == "__main__":\n    raise SystemExit("no")'},
        ),
    ],
)
def test_a_target_is_a_file_or_a_module_or_names_a_server(
    run: "Run", target: str, files: dict[str, str]
) -> None:
    done = run(target, **files)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("target", "source", "code", "said"),
    [
        ("nowhere.py", "", 2, "there is no file `nowhere.py`"),
        ("nowhere", "", 2, "there is no module `nowhere`"),
        ("components", "x = 1", 2, "`components` has no `StepflowServer`"),
        (".", "", 2, "`.` is a folder\nhint: name a file in it, such as `components.py`"),
        ("../", "", 2, "`../` is a folder"),
        ("json", "", 2, "`json` is a module of Python's own\nhint: rename yours"),
        ("/dev/null", "", 2, "there is no file `/dev/null`"),
        ("components:x", "x = 1", 2, "`x` in `components` is a `int`"),
        ("components:y", SERVER, 2, "`components` has no `y`\nhint: its servers: `server`"),
        (
            "components.py",
            SERVER.replace("server =", "a =") + "b = StepflowServer()",
            2,
            "has 2 servers (`a`, `b`) and none is called `server`\nhint: name one: `components.py:a`",
        ),
        (
            "components.py",
            SERVER + "import asyncio\nasyncio.run(server.run())",
            2,
            'hint: guard it with `if __name__ == "__main__":`',
        ),
        ("components.py", "import sys\nsys.exit(0)", 1, "`components.py` could not be imported"),
        ("components.py", "def broken(:\n    pass", 1, "SyntaxError"),
        ("components.py", "import nothing_like_that", 1, "No module named 'nothing_like_that'"),
    ],
)
def test_a_target_without_a_server_is_explained(
    run: "Run", target: str, source: str, code: int, said: str
) -> None:
    done = run(target, components=source)
    assert said in done.stderr
    assert (done.returncode, done.stdout) == (code, "")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("csv", "`csv` is a module of Python's own, which it would hide"),
        ("types", "`types` is a module of Python's own"),
        ("email", "`email` is a module of Python's own"),
        ("antigravity", "`antigravity` is a module of Python's own"),
        ("stepflow", "there is another module `stepflow`"),
        ("msgspec", "there is another module `msgspec`"),
        ("jsonschema", "`jsonschema` is an installed package, which it would hide"),
        ("opentelemetry", "`opentelemetry` is an installed package"),
        ("__main__", "there is another module `__main__`"),
        ("a.b", "'a.b' is not the name of a module"),
    ],
)
def test_a_file_whose_name_is_taken_must_be_renamed(
    run: "Run", tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "worker").mkdir()
    done = run(f"worker/{name}.py", **{f"worker/{name}": SERVER})
    assert (done.returncode, done.stdout) == (2, "")
    said = f"`worker/{name}.py` cannot be imported: {problem}"
    assert said in done.stderr and "hint: rename the file, to `components.py` say" in done.stderr


def test_a_byte_order_mark_before_the_code_does_no_harm(run: "Run", tmp_path: Path) -> None:
    done = run("components.py", "--list", components="\ufeff" + SERVER)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "components.py").read_bytes().startswith(b"\xef\xbb\xbf")


def test_a_failing_import_shows_the_users_own_frames_only(run: "Run") -> None:
    done = run("components.py", components="import parts", parts="def f():\n    1 / 0\nf()")
    assert done.returncode == 1
    frames = [line.strip() for line in done.stderr.splitlines() if line.startswith("  File ")]
    assert len(frames) == 3
    assert "components.py" in frames[0] and "parts.py" in frames[2]
    assert "ZeroDivisionError" in done.stderr


def test_a_syntax_error_is_shown_with_its_line_alone(run: "Run") -> None:
    done = run("components.py", components="x = 1\ndef broken(:\n    pass")
    frames = [line.strip() for line in done.stderr.splitlines() if line.startswith("  File ")]
    assert len(frames) == 1 and 'components.py", line 2' in frames[0]


def test_a_function_that_cannot_be_served_is_shown_with_its_line(run: "Run") -> None:
    source = SERVER + "@server.component\ndef f(a: int, b: int): ...\n"
    done = run("components.py", components=source)
    assert done.returncode == 1
    frames = [line.strip() for line in done.stderr.splitlines() if line.startswith("  File ")]
    assert len(frames) == 1 and 'components.py", line 3' in frames[0]
    assert "`f` cannot be a component" in done.stderr


def test_without_a_target_it_serves_the_builtin_components(run: "Run") -> None:
    done = run("--list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "COMPONENT",
        "/udf",
        "/langchain/invoke",
    ]


def test_reloading_needs_a_target(run: "Run") -> None:
    done = run("--reload")
    assert (done.returncode, done.stdout) == (2, "")
    assert "`--reload` needs a TARGET" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--max-concurrency", "0"],
        ["--max-concurrency", "many"],
        ["--drain-timeout", "-1"],
        ["--drain-timeout", "nan"],
        ["--drain-timeout", "inf"],
        ["--drain-timeout", "1e300"],
        ["--drain-timeout", "soon"],
        ["--max-concurrency", str(2**32)],
        ["--max-concurrency", "9" * 5000],
        ["--port", "http"],
        ["--no-such-option"],
    ],
)
def test_bad_options_are_usage_errors(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["components.py", *options])
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_on_a_terminal_it_prints_its_components_and_that_it_waits(tmp_path: Path) -> None:
    (tmp_path / "components.py").write_text(
        SERVER + "@server.component\ndef greet(input: str) -> str: return input\n"
    )
    # If the tests run in the background, they ignore Ctrl-C, and children inherit this.
    heeding = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('stepflow.worker', run_name='__main__', alter_sys=True)"
    )
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", heeding, "components.py"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    assert process.stderr is not None and process.stdout is not None
    with process, process.stderr as stderr:
        assert [stderr.readline().strip() for _ in range(3)] == [
            "serving over stdio:",
            "/greet",
            "waiting for a server: one JSON-RPC message per line, Ctrl-D ends",
        ]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert stderr.read() == ""
    os.close(ours)


def test_a_closed_stdin_is_explained(tmp_path: Path) -> None:
    (tmp_path / "components.py").write_text(SERVER)
    code = (
        "import os, sys; os.close(0); "
        "os.execv(sys.executable, [sys.executable, '-m', 'stepflow.worker', 'components.py'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "stdin and stdout must be open" in done.stderr
