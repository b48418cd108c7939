# SPDX-License-Identifier: MIT
"""A client with a key, by pyzmq: joins as the actor that its key names, then sends what its role must not.

    keyed.py KEY_FILE ENDPOINT OTHER_ID

Prints a line for each message: its name, and the code of the refusal or the field of the answer.
"""
import os
import re
import sys

import zmq

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from client import (EVAL_REPORT, HELLO, POLICY, PROGRESS, REFUSE, ROLE_ACTOR, ROLE_EVALUATOR, ROLE_LEARNER,  # noqa: E402
                    WELCOME, envelopes)
from harness import block, double, envelope, number  # noqa: E402

STATUS_REQUEST = 28


def value(path, word):
    """Of a file that `spur keys` made."""
    with open(path, encoding="utf-8") as f:
        return re.search(word + ' = "(.*)"', f.read()).group(1).encode()


def connect(path, endpoint):
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.curve_publickey = value(path, "public-key")
    socket.curve_secretkey = value(path, "secret-key")
    socket.curve_serverkey = value(path, "server-key")
    socket.linger, socket.rcvtimeo = 0, 10000
    socket.connect(endpoint)
    return socket


def hello(role, name):
    return envelope(HELLO, number(1, role) + block(2, name))


def answer(socket, *kinds):
    """(run id, kind, body) of the next message of one of these kinds."""
    while True:
        run_id, kind, body = envelopes(socket.recv())
        if kind in kinds:
            return run_id, kind, body


def main(path, endpoint, other):
    name = value(path, "name").decode()
    socket = connect(path, endpoint)
    socket.send(hello(ROLE_ACTOR, name))
    run_id, kind, _ = answer(socket, WELCOME, REFUSE)
    print(f"Hello {kind}", flush=True)
    report = number(1, 1) + number(3, 1) + number(4, 1) + block(5, double(1, 1e6)[1:]) + block(6, double(1, 5.0)[1:])
    for what, message in (
            ("Policy", envelope(POLICY, b"", run_id)),
            ("Progress", envelope(PROGRESS, b"", run_id)),
            ("EvalReport", envelope(EVAL_REPORT, report, run_id)),
            ("StatusRequest", envelope(STATUS_REQUEST)),
            ("Hello-other", hello(ROLE_ACTOR, other)),
            ("Hello-learner", hello(ROLE_LEARNER, name)),
            ("Hello-evaluator", hello(ROLE_EVALUATOR, name))):
        socket.send(message)
        _, kind, body = answer(socket, REFUSE, WELCOME, STATUS_REQUEST + 1)
        print(f"{what} {body[1] if kind == REFUSE else f'answered by {kind}'}", flush=True)
    socket.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
