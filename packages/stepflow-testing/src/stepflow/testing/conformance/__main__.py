"""The command line: `python -m stepflow.testing.conformance -- COMMAND …`."""

import argparse
import json
import sys
from collections.abc import Sequence

from stepflow.testing.conformance._failures import CannotStart
from stepflow.testing.conformance._formats import FORMATS
from stepflow.testing.conformance._run import check_worker, rules

BROKEN = 1
CANNOT_START = 3

_ABSENT = object()  # `null` is an input


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.command) == bool(options.url):
        parser.error("name the worker: either `-- COMMAND …` or `--url URL`")
    if (options.execute is None) != (options.input is _ABSENT):
        parser.error("`--execute` and `--input` belong together")
    if unknown := set(options.rule or ()) - set(rules()):
        parser.error(f"there is no rule {', '.join(sorted(unknown))}")
    try:
        report = check_worker(
            options.url or options.command,
            http=options.http,
            execute=None if options.execute is None else (options.execute, options.input),
            token=options.token,
            patience=options.patience,
            only=options.rule,
        )
    except CannotStart as error:
        print(f"conformance: {error}", file=sys.stderr)
        return CANNOT_START
    print(FORMATS[options.format](report))
    return 0 if report.holds else BROKEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stepflow.testing.conformance",
        description="Check whether a worker follows the worker protocol.",
        epilog="Exit codes: 0 when every rule holds, 1 when one does not, 2 for wrong arguments, 3 when "
        "the worker cannot be started or reached.",
    )
    parser.add_argument(
        "command",
        nargs="*",
        metavar="COMMAND",
        help="the command that starts the worker; write it after `--`",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--http",
        action="store_true",
        help="COMMAND serves over HTTP (default: over stdin and stdout)",
    )
    where.add_argument("--url", type=_url, help="the address of a worker that runs already")
    parser.add_argument("--token", help="the bearer token that the worker asks for")
    parser.add_argument(
        "--execute",
        metavar="PATH",
        help="a component that succeeds, for a worker without `/conformance/echo`",
    )
    parser.add_argument(
        "--input",
        type=_json,
        metavar="JSON",
        default=_ABSENT,
        help="an input for the component of `--execute`",
    )
    parser.add_argument(
        "--rule",
        action="append",
        metavar="ID",
        help="check only this rule; may be given several times (default: all rules)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long an answer may take (default: %(default)g)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="the format of the report (default: text)"
    )
    return parser


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"this is not JSON: {error}") from None


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"`{text}` is not an http:// or https:// address")
    return text


if __name__ == "__main__":
    sys.exit(main())
