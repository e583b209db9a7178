"""`python serve.py [--http] [--token T] [--break RULE]`: the plain worker, whole or with one rule broken."""

import argparse

import broken
import broken_http
import broken_stdio
from plain import Plain
from plain_http import Handler, Http
from plain_stdio import Stdio

parser = argparse.ArgumentParser()
parser.add_argument("--http", action="store_true")
parser.add_argument("--token")
parser.add_argument("--break", dest="rule", default="")
options = parser.parse_args()

worker = broken.breaks.get(options.rule, Plain)
if options.http:
    # Only this transport has sessions to announce.
    worker.capabilities = {**worker.capabilities, "resume": True}
    handler = broken_http.breaks.get(options.rule, Handler)
    server = broken_http.breaks_server.get(options.rule, Http)
    server(worker, handler, options.token).serve()
else:
    broken_stdio.breaks.get(options.rule, Stdio)(worker()).serve()
