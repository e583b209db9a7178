"""The conformance checker: a worker that keeps every rule passes, and every broken rule is found."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stepflow.testing.conformance import CannotStart, Report, Verdict, check_worker, rules

SERVE = str(Path(__file__).parent / "workers/serve.py")
TOKEN = "a-token"
STDIO = [sys.executable, SERVE]
HTTP = [*STDIO, "--http", "--token", TOKEN]

HTTP_RULES = [rule for rule in rules() if rule.startswith(("http.", "session."))]
DRAINING = [rule for rule in rules() if rule.startswith("drain.")]
assert HTTP_RULES[0] == "http.portLine"  # has its own test
STDIO_RULES = [rule for rule in rules() if rule not in HTTP_RULES]


def check(rule: str, *, over_http: bool = False, broken: bool = True) -> Report:
    """Check one rule, on a worker that breaks it."""
    command = [*(HTTP if over_http else STDIO), "--break", rule if broken else ""]
    token = TOKEN if over_http else None
    return check_worker(command, http=over_http, token=token, patience=2, only=[rule])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "stepflow.testing.conformance", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


# Verdicts


def test_a_worker_that_keeps_every_rule_passes_over_stdio() -> None:
    report = check_worker(STDIO, patience=30)
    assert report.holds and not report.skipped, str(report)
    assert [result.rule for result in report.results] == STDIO_RULES


def test_a_worker_that_keeps_every_rule_passes_over_http() -> None:
    report = check_worker(HTTP, http=True, token=TOKEN, patience=30)
    assert report.holds and not report.skipped, str(report)
    assert {result.rule for result in report.results} >= set(HTTP_RULES)


@pytest.mark.parametrize("rule", STDIO_RULES)
def test_a_broken_rule_is_found_over_stdio(rule: str) -> None:
    (result,) = check(rule).results
    assert (result.rule, result.verdict) == (rule, Verdict.failed)
    assert result.reason and result.exchanges


@pytest.mark.parametrize("rule", [*HTTP_RULES[1:], *DRAINING])
def test_a_broken_rule_is_found_over_http(rule: str) -> None:
    (result,) = check(rule, over_http=True).results
    assert (result.rule, result.verdict) == (rule, Verdict.failed)


def test_a_worker_that_prints_no_port_cannot_be_checked() -> None:
    command = [sys.executable, "-c", "print('listening on 8080')"]
    with pytest.raises(CannotStart, match=r'exited with 0 before it said `{"port": N}`'):
        check_worker(command, http=True)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("sys.exit('no such port')", "the end of its stderr:\nno such port"),
        ("", "it wrote nothing to stderr"),
    ],
)
def test_the_end_of_stderr_of_a_worker_that_does_not_start_is_told(code: str, told: str) -> None:
    command = [sys.executable, "-c", f"import sys; {code}"]
    with pytest.raises(CannotStart, match=told):
        check_worker(command, http=True)


def test_a_rule_that_cannot_be_checked_is_skipped_with_the_reason() -> None:
    code = Path(SERVE).with_name("plain_stdio.py").read_text(encoding="utf-8")
    program = f"{code}\nimport plain\nplain.COMPONENTS.clear()\nStdio(Plain()).serve()"
    worker = [sys.executable, "-c", f"import sys; sys.path.insert(0, {SERVE[:-9]!r})\n{program}"]
    report = check_worker(worker, only=["execute.values", "execute.output", "envelope.ids"])
    assert [result.verdict for result in report.results] == ["ok", "skipped", "skipped"], str(
        report
    )
    assert "needs `/conformance/echo`, or `--execute PATH --input JSON`" in str(report)


def test_any_component_that_succeeds_can_be_used() -> None:
    component = ("/conformance/double", {"n": 1})
    report = check_worker(STDIO, execute=component, only=["execute.bareParams"])
    assert report.holds and not report.skipped


def test_a_worker_that_runs_already_is_checked_at_its_address() -> None:
    with subprocess.Popen(HTTP, stdout=subprocess.PIPE) as worker:
        try:
            assert worker.stdout is not None
            url = f"http://127.0.0.1:{json.loads(worker.stdout.readline())['port']}"
            wanted = ["http.stream", "session.apart", "drain.exits"]
            report = check_worker(url, token=TOKEN, patience=30, only=wanted)
        finally:
            worker.kill()
    assert {result.rule: result.verdict for result in report.results} == {
        "http.stream": "ok",
        "session.apart": "ok",
        "drain.exits": "skipped",
    }


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"there is no rule no\.such"):
        check_worker(STDIO, only=["no.such"])


# The command line


def test_the_report_shows_the_messages_and_the_rule() -> None:
    ran = run("--rule", "envelope.unknownMethod", "--", *STDIO, "--break", "envelope.unknownMethod")
    assert ran.returncode == 1
    assert re.search(r"^FAIL +envelope\.unknownMethod$", ran.stdout, re.MULTILINE)
    assert "rule   An unknown method is answered -32601" in ran.stdout
    assert "found  the error's code is -32099, not -32601 METHOD_NOT_FOUND" in ran.stdout
    assert 'sent   {"jsonrpc":"2.0","id":' in ran.stdout
    assert 'got    {"jsonrpc": "2.0"' in ran.stdout or 'got    {"jsonrpc":"2.0"' in ran.stdout


def test_json_and_junit_have_the_same_results() -> None:
    broken = (
        "--rule",
        "envelope.ids",
        "--rule",
        "stdio.crlf",
        "--",
        *STDIO,
        "--break",
        "stdio.crlf",
    )
    told = json.loads(run("--format", "json", "--patience", "2", *broken).stdout)
    suite = ET.fromstring(run("--format", "junit", "--patience", "2", *broken).stdout)
    assert {each["rule"]: each["verdict"] for each in told["results"]} == {
        "envelope.ids": "ok",
        "stdio.crlf": "failed",
    }
    assert told["holds"] is False
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert (suite.get("tests"), failed) == ("2", ["crlf"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name the worker"),
        (("--url", "http://127.0.0.1:1", "--", "x"), "name the worker"),
        (("--url", "127.0.0.1"), "is not an http:// or https:// address"),
        (("--execute", "/x", "--", "x"), "belong together"),
        (("--execute", "/x", "--input", "{", "--", "x"), "this is not JSON"),
        (("--rule", "no.such", "--", "x"), "there is no rule no.such"),
        (("--no-such", "--", "x"), "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments: tuple[str, ...], said: str) -> None:
    ran = run(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--", "no-such-program-anywhere"), "cannot be started"),
        (("--", sys.executable, "-c", "raise SystemExit('broken at import')"), "broken at import"),
        (("--patience", "1", "--", sys.executable, "-c", "input()"), "cannot be spoken to"),
        (("--http", "--", sys.executable, "-c", "1"), "before it said"),
        (("--patience", "1", "--url", "http://127.0.0.1:9"), "cannot be reached"),
    ],
)
def test_without_a_worker_it_ends_with_3(arguments: tuple[str, ...], said: str) -> None:
    ran = run(*arguments)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert said in ran.stderr
