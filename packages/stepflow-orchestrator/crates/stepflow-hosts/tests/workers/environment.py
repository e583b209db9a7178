"""Answers with its environment, its folder and its process group."""

import os

import wire

wire.greet()
for request in wire.executes():
    wire.answer(
        request,
        {"env": dict(os.environ), "cwd": os.getcwd(), "leader": os.getpgid(0) == os.getpid()},
    )
