"""`python serve.py [--http] [--token T] [--break RULE]`: the plain worker, whole or with one rule broken."""

import argparse

from broken import WORKERS
from broken_http import HANDLERS, SERVERS
from broken_stdio import STREAMS
from plain import Plain
from plain_http import Handler, Http
from plain_stdio import Stdio

parser = argparse.ArgumentParser()
parser.add_argument("--http", action="store_true")
parser.add_argument("--token")
parser.add_argument("--break", dest="rule", default="")
options = parser.parse_args()

worker = WORKERS.get(options.rule, Plain)
if options.http:
    # Sessions are what only this transport can announce.
    worker.capabilities = {**worker.capabilities, "resume": True}
    handler, server = HANDLERS.get(options.rule, Handler), SERVERS.get(options.rule, Http)
    server(worker, handler, options.token).serve()
else:
    STREAMS.get(options.rule, Stdio)(worker()).serve()
