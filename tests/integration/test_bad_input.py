#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that wrong input is refused by name, counted, and harmless: unusable addresses and folders, unknown
tasks, and messages to the model server with another schema, invalid bytes, other dimensions, or NaN."""
import os
import platform
import signal
import socket

from harness import (INTERRUPTED, ACK, CREDIT, REFUSE, WELCOME, Dealer, block, check, counter, end, endpoints, envelope, fields, floats, main,
                     number, read, status, wait_for)

LONG = {"run.steps": 1000000, "eval.every_steps": 1000000}
HELLO, TRANSITIONS, STATUS_REQUEST = 11, 14, 28
OBS_DIM, ACT_DIM = 4, 1


def transitions(seq, rows=1, obs_dim=OBS_DIM, obs=None, act=0.0):
    """The body of Transitions, with the field numbers of spur.proto."""
    columns = (number(1, rows) + number(2, obs_dim) + number(3, ACT_DIM) +
               block(4, floats(*(obs or [0.0] * obs_dim * rows))) + block(5, floats(*[act] * rows)) +
               block(6, floats(*[1.0] * rows)) + block(7, floats(*[0.0] * obs_dim * rows)) + block(8, bytes(rows)))
    return number(1, seq) + number(2, 0) + block(3, columns)


def refusal(answer):
    body = fields(fields(answer)[REFUSE])
    return body[1], body.get(3, b"").decode()


def next_of(dealer, kind):
    """The next message of a kind; skips others."""
    while True:
        message = fields(dealer.frame())
        if kind in message:
            return fields(message[kind])
        check(kind == REFUSE or REFUSE not in message, f"refused: {message.get(REFUSE)}")


def wrong_messages(stage):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets=LONG)
    where = wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)
    server = where["modelserver"]
    wait_for("the model server", lambda: status(stage, server), 10)

    stranger = Dealer(server)
    code, text = refusal(stranger.ask(envelope(STATUS_REQUEST, schema=99)))
    check(code == 1 and "99" in text, f"another schema: {code}, {text}")
    code, text = refusal(stranger.ask(b"\xff\xfe this is no message \x00"))
    check(code in (1, 9), f"garbage: {code}, {text}")
    code, text = refusal(stranger.ask(envelope(TRANSITIONS, transitions(1))))
    check(code == 5, f"rows without a Hello: {code}, {text}")
    stranger.close()

    # A peer that is valid at first.
    actor = Dealer(server)
    actor.send(envelope(HELLO, number(1, 1) + block(2, "wrong") + number(3, 1)))
    welcome = None
    while welcome is None:
        message = fields(actor.frame())
        welcome = message.get(WELCOME)
    run_id = int.from_bytes(message[2], "little")
    code, text = 0, ""
    actor.send(envelope(TRANSITIONS, transitions(1), run_id=run_id ^ 1))
    body = next_of(actor, REFUSE)
    check(body[1] == 2, f"another run: {body}")
    actor.send(envelope(TRANSITIONS, transitions(1, obs_dim=7), run_id=run_id))
    check(next_of(actor, REFUSE)[1] in (3, 9), "another shape")
    # NaN: refused, but acknowledged, so that the next message can follow.
    actor.send(envelope(TRANSITIONS, transitions(1, obs=[float("nan")] * OBS_DIM), run_id=run_id))
    check(next_of(actor, REFUSE)[1] == 6, "not a number")
    actor.send(envelope(TRANSITIONS, transitions(2, act=1.5), run_id=run_id))
    check(next_of(actor, REFUSE)[1] == 6, "an action out of range")
    # The following rows are accepted once there is credit for them.
    check(next_of(actor, ACK)[1] <= 2, "acknowledged what was never sent")
    while next_of(actor, CREDIT).get(1, 0) < 1:
        pass
    actor.send(envelope(TRANSITIONS, transitions(3), run_id=run_id))
    while next_of(actor, ACK)[1] < 3:
        pass
    actor.close()

    state = status(stage, server)
    for name, least in (("refused_schema", 1), ("refused_format", 1), ("refused_unknown", 1), ("refused_run", 1),
                        ("refused_task", 1), ("rows_refused_value", 2)):
        check(counter(state, name) >= least, f"{name} is {counter(state, name)} in {state['counters']}")
    before = state["env_steps"]
    wait_for("the run goes on", lambda: status(stage, server)["env_steps"] > before + 10, 10)
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == INTERRUPTED, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans()


def addresses_and_folders(stage):
    # A port in use.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run_dir = stage.path("port")
        run = stage.run(run_dir, "--listen", f"tcp://127.0.0.1:{port}")
        check(end(run, 20) != 0, "a port in use goes unnoticed")
        check("in use" in read(run.output) + read(os.path.join(run_dir, "log")), read(run.output))
        stage.no_orphans()

    # A folder that cannot be created; the superuser may write anywhere except below a file.
    with open(stage.path("file"), "w", encoding="utf-8"):
        pass
    run = stage.run(stage.path("file", "run-dir"))
    check(end(run, 10) != 0 and stage.path("file") in read(run.output), read(run.output))

    # Two runs in one folder.
    run_dir = stage.path("shared")
    first = stage.run(run_dir, sets=LONG)
    wait_for("the run's endpoints", lambda: endpoints(run_dir), 10)
    second = stage.run(run_dir, sets=LONG)
    check(end(second, 10) == 75 and "in use" in read(second.output), f"{second.returncode}: {read(second.output)}")

    # Two daemons of the same kind in one folder.
    wait_for("the run's learner, which must have the folder first", lambda: status(stage, endpoints(run_dir)["learner"]), 20)
    common = ["--config", os.path.join(run_dir, "config.yaml"), "--run-dir", run_dir, "--bind", "tcp://127.0.0.1:*"]
    for program, title, options in (("spur-modelserver", "model server", []),
                                    ("spur-learner", "learner", ["--modelserver", endpoints(run_dir)["modelserver"]])):
        code, text = stage.call(program, *common, *options)
        check(code == 75 and f"another {title} serves it (process " in text, f"{program}: {code}: {text}")
    first.send_signal(signal.SIGINT)
    check(end(first, 20) == INTERRUPTED, f"exit code {first.returncode}")
    stage.no_orphans()


def tasks_and_keys(stage):
    code, text = stage.call("spur", "run", "hoper", "--run-dir", stage.path("x"))
    check(code != 0 and "hopper" in text and "inverted_pendulum" in text, f"{code}: {text}")
    code, text = stage.call("spur", "run", "hopper", "--run-dir", stage.path("x"), "--set", "model.hiden_width=3")
    check(code == 78 and "model.hidden_width" in text, f"{code}: {text}")
    check(not os.path.exists(stage.path("x")), "a refused run leaves a folder")
    code, text = stage.call("spur", "status", f"ipc://{stage.sockets}/nobody")
    check(code != 0 and "nobody" in text, f"{code}: {text}")


def slow_kernels(stage):
    """An OPENBLAS_CORETYPE that slows OpenBLAS down is printed, and logged by each daemon that computes. spur's own
    kernels are not affected."""
    line = "OPENBLAS_CORETYPE=Nehalem makes matrix products use Nehalem kernels"
    if platform.machine() != "x86_64":
        return
    stage.env["OPENBLAS_CORETYPE"] = "Nehalem"
    for kernels in "openblas", "auto":
        run_dir = stage.path(kernels)
        run = stage.run(run_dir, sets={**LONG, "compute.kernels": kernels})
        for name, endpoint in wait_for("the run's endpoints", lambda: endpoints(run_dir), 10).items():
            wait_for(name, lambda endpoint=endpoint: status(stage, endpoint), 10)
        run.send_signal(signal.SIGINT)
        check(end(run, 20) == INTERRUPTED, f"exit code {run.returncode}")
        log, said = read(os.path.join(run_dir, "log")), read(run.output)
        slow = "products by OpenBLAS" in said  # with "auto", only where spur has no kernels
        check(slow or kernels == "auto", said)
        check((line in said) == slow, f"{kernels}: {said}")
        for daemon in "modelserver", "learner":
            told = any(f" {daemon} warn" in text and line in text for text in log.splitlines())
            check(told == slow, f"{kernels}: the {daemon} {'says' if told else 'does not say'} so: {log}")
    stage.no_orphans()


def missing_kernels(stage):
    """Kernels that this processor lacks are refused by name."""
    if platform.machine() != "x86_64":
        return
    flags = read("/proc/cpuinfo").split()
    for kernels, flag in ("avx2", "fma"), ("avx512", "avx512bw"), ("bf16", "avx512_bf16"):
        if flag in flags:
            continue
        run = stage.run(stage.path(kernels), sets={"compute.kernels": kernels})
        check(end(run, 20) != 0 and "compute.kernels: this processor does not have" in read(run.output), read(run.output))


main(wrong_messages, addresses_and_folders, tasks_and_keys, slow_kernels, missing_kernels)
