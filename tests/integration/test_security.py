#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows who may join a run. Across machines: keys that were made and copied as docs/security.md says let an actor
train, over CURVE; every other kind of attempt is refused, each in plain words and with an exit code. At a loopback
address: only who has the token. Nothing is asked over ipc, whose folder is its user's."""
import json
import os
import shutil
import signal
import subprocess
import sys

from harness import (BIN, SHORT, SOURCE, Dealer, Failure, check, counter, end, endpoints, free_ports, main, python_with, read, status,
                     token_of, wait_for)

sys.path.insert(0, os.path.join(SOURCE, "tests", "conformance"))
from client import Actor, Evaluator  # noqa: E402

LONG = {"run.steps": 1000000, "run.explore_steps": 300, "eval.every_steps": 1000000, "run.actors": 1}
DENIED, PROTOCOL = 77, 76
KEY = 10  # code of Refuse


def keys(stage, *args):
    code, text = stage.call("spur", "keys", *args, "--dir", stage.path("keys"))
    check(code == 0, f"spur keys {args}: {code}: {text}")
    return text


def start(stage, actors=1):
    """A run that other machines can reach: (process, addresses on this one)."""
    port = free_ports()
    run = stage.run(stage.path("run"), "--listen", f"tcp://0.0.0.0:{port}", "--keys", stage.path("keys"),
                    sets={**LONG, "run.actors": actors})
    where = wait_for("the run listens", lambda: endpoints(stage.path("run")), 20)
    stage.keys = stage.path("keys")
    wait_for("the model server", lambda: status(stage, where["modelserver"]), 30)
    return run, where


def stop(stage, run):
    run.send_signal(signal.SIGINT)
    check(end(run, 30) == 130, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans()


def copied(stage, name):
    """The key as on another machine: the only file there."""
    folder = stage.path(f"host-of-{name}")
    os.mkdir(folder)
    shutil.move(stage.path("keys", f"{name}.key"), folder)
    return os.path.join(folder, f"{name}.key")


def actor(stage, where, key, *args, **options):
    return stage.start("spur-actor", "--modelserver", where["modelserver"], "--learner", where["learner"],
                       *(["--keys", key] if key else []), *args, **options)


def line_of(stage, where, words):
    state = status(stage, where["modelserver"])
    return next((a for a in state["actors"] if words in a["id"]), {}) if state else {}


def refused(process, code, *words, seconds=40):
    check(end(process, seconds) == code, f"exit code {process.returncode}, not {code}:\n{read(process.output)}")
    text = read(process.output)
    check(all(word in text for word in words), f"{words} are not in:\n{text}")
    return text.splitlines()[-1]


def a_run_across_machines_trains(stage):
    """The page is followed to its end: keys are made, copied, admitted and revoked."""
    text = keys(stage, "make") + keys(stage, "add", "robot-1") + keys(stage, "add", "desk", "--role", "operator")
    check("scp" in text and "kill -HUP" in text, text)
    robot, desk = copied(stage, "robot-1"), copied(stage, "desk")
    run, where = start(stage, actors=0)
    joined = actor(stage, where, robot)
    wait_for("steps of the robot", lambda: line_of(stage, where, "robot-1/").get("steps", 0) > 50, 20)
    wait_for("updates", lambda: status(stage, where["modelserver"])["learner"]["updates"] > 20, 60)
    code, text = stage.call("spur", "status", "--keys", desk, where["modelserver"])
    check(code == 0 and "robot-1/" in text, f"{code}: {text}")

    # A key that is added later is admitted after SIGHUP, without a word to the others.
    keys(stage, "add", "robot-2")
    late = copied(stage, "robot-2")
    refused(actor(stage, where, late), DENIED, "does not admit the key")
    hang_up(stage)
    second = actor(stage, where, late)
    wait_for("steps of the second", lambda: line_of(stage, where, "robot-2/").get("steps", 0) > 20, 20)

    # A key that is revoked ends its connections; the other actor goes on.
    keys(stage, "revoke", "robot-1")
    hang_up(stage)
    print(refused(joined, DENIED, "does not admit the key of this process", "revoked"))
    before = line_of(stage, where, "robot-2/")["steps"]
    wait_for("the other goes on", lambda: line_of(stage, where, "robot-2/").get("steps", 0) > before + 20, 20)
    check(second.poll() is None, read(second.output))
    check(status(stage, where["modelserver"])["learner"]["state"] != "lost", "the learner is lost")
    second.terminate()
    end(second, 10)
    stop(stage, run)


def an_actor_with_a_key_answers_at_home(stage):
    """The key of an actor admits nobody, but a socket of ipc is its user's, and asks for nothing."""
    keys(stage, "add", "robot")
    robot = copied(stage, "robot")
    run, where = start(stage, actors=0)
    own = f"ipc://{stage.sockets}/robot"
    joined = actor(stage, where, robot, "--id", "robot", "--bind", own)
    wait_for("steps", lambda: line_of(stage, where, "robot").get("steps", 0) > 5, 20)
    stage.keys = None
    state = status(stage, own)
    check(state and state["state"] == "acting" and state["actors"][0]["id"] == "robot", f"{state}")
    joined.terminate()
    check(end(joined, 10) == 0, read(joined.output))
    stop(stage, run)


def hang_up(stage):
    log = stage.path("run", "log")
    before = read(log).count("again: ")
    for daemon in ("spur-modelserver", "spur-learner"):
        os.kill(stage.find(daemon), signal.SIGHUP)
    wait_for("the list is read again", lambda: read(log).count("again: ") == before + 2, 10)


def everybody_else_is_refused(stage):
    keys(stage, "make")
    keys(stage, "add", "robot")
    keys(stage, "add", "judge", "--role", "evaluator")
    keys(stage, "add", "desk", "--role", "operator")
    robot, judge, desk = (copied(stage, name) for name in ("robot", "judge", "desk"))
    stage.call("spur", "keys", "add", "robot", "--dir", stage.path("others"))
    stranger = stage.path("others", "robot.key")
    _, where = start(stage)
    server, learner = where["modelserver"], where["learner"]

    def mixed(own, other):
        """The key of one client with the server of another."""
        lines = {line.split(" = ")[0].strip(): line for line in read(other).splitlines() if "server-key" in line}
        path = stage.path("mixed.key")
        with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write("\n".join(lines.get(line.split(" = ")[0].strip(), line) for line in read(own).splitlines()) + "\n")
        return path

    open_key = stage.path("open.key")
    shutil.copy(robot, open_key)
    os.chmod(open_key, 0o644)
    before = wait_for("steps", lambda: line_of(stage, where, "actor-0"), 20)
    status_of = lambda key: stage.start("spur", "status", server, *(["--keys", key] if key else []))  # noqa: E731
    attempts = (
        ("no key", actor(stage, where, None), DENIED, "asks for a key or the token"),
        ("no key, status", status_of(None), DENIED, "asks for a key or the token"),
        ("unknown key", actor(stage, where, mixed(stranger, robot)), DENIED, "does not admit the key"),
        ("another server's key", actor(stage, where, stranger), DENIED, "has another key than the server-key"),
        ("key readable by others", actor(stage, where, open_key), DENIED, "may be read by others", "chmod 600"),
        ("another's id", actor(stage, where, robot, "--id", "actor-0"), PROTOCOL, "may not use the id actor-0"),
        ("actor's key as evaluator", actor(stage, where, robot, "--evaluate", "--id", "robot"), PROTOCOL,
         "may not send Hello as evaluator"),
        ("evaluator's key as actor", actor(stage, where, judge, "--id", "judge"), PROTOCOL, "may not send Hello as actor"),
        ("actor's key, status", status_of(robot), DENIED, "may not send StatusRequest"),
        ("operator's key as actor", actor(stage, where, desk, "--id", "desk"), PROTOCOL, "may not send Hello as actor"),
        ("client's key binds", actor(stage, where, robot, "--bind", "tcp://127.0.0.1:*"), DENIED, "admits nobody"),
        ("actor's key as learner", stage.start(
            "spur-learner", "--config", stage.path("run", "config.yaml"), "--run-dir", stage.path("other"), "--bind",
            f"ipc://{stage.sockets}/learner", "--modelserver", server, "--keys", robot), DENIED, "admits nobody"),
        ("no key, other machines", stage.start("spur-actor", "--modelserver", "tcp://192.0.2.1:7000"), DENIED,
         "keys are needed", "spur keys make"),
        ("run without keys", stage.start("spur", "run", "inverted_pendulum", "--listen", "tcp://0.0.0.0:7909", "--keys",
                                         stage.path("none"), "--run-dir", stage.path("second")), DENIED, "spur keys make"),
    )
    for name, process, code, *words in attempts:
        print(f"{name}: {refused(process, code, *words)}", flush=True)

    # Whatever is sent without a handshake: the connection ends, and nothing is decoded.
    for endpoint in (server, learner):
        for token in (None, "0" * 64):
            try:
                Dealer(endpoint, token)
                raise AssertionError(f"{endpoint} answers a stranger")
            except (Failure, OSError):
                pass
    state = status(stage, server)
    check(counter(state, "refused_key") >= 5 and counter(state, "refused_format") == 0, f"{state['counters']}")
    check(state["learner"]["state"] != "lost", "the learner is lost")
    check({a["id"] for a in state["actors"]} == {"actor-0", "evaluator"}, f"{state['actors']}")
    wait_for("the run goes on", lambda: line_of(stage, where, "actor-0").get("steps", 0) > before["steps"], 20)


def a_loopback_address_needs_the_token(stage):
    port = free_ports()
    run_dir = stage.path("run")
    run = stage.run(run_dir, "--listen", f"tcp://127.0.0.1:{port}", sets=LONG)
    where = wait_for("the run listens", lambda: endpoints(run_dir), 20)
    token, server = os.path.join(run_dir, "token"), where["modelserver"]
    check(os.stat(token).st_mode & 0o777 == 0o600 and where["keys"] == token, f"{where}")
    code, text = stage.call("spur", "status", run_dir)
    wait_for("status", lambda: stage.call("spur", "status", run_dir)[0] == 0, 20)
    secret = token_of(run_dir)
    check(not any(secret in line for line in stage.processes().values()), "the token is on a command line")
    check(secret not in read(os.path.join(run_dir, "log")), "the token is in the log")

    refused(stage.start("spur", "status", server), DENIED, "asks for a key or the token")
    refused(actor(stage, where, None), DENIED, "asks for a key or the token")
    other = stage.path("token")
    with open(other, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(f'token = "{"0" * 64}"\n')
    refused(actor(stage, where, other), DENIED, "it is another run's")
    for wrong in (None, "", "0" * 64, secret[:-1], secret + "0"):
        try:
            Dealer(server, wrong)
            raise AssertionError(f"the server admits {wrong}")
        except (Failure, OSError):
            pass
    Dealer(server, secret)
    joined = actor(stage, where, token, "--id", "by-hand")
    stage.keys = token
    wait_for("steps by hand", lambda: line_of(stage, where, "by-hand").get("steps", 0) > 5, 20)
    joined.terminate()
    check(end(joined, 10) == 0, read(joined.output))
    stop(stage, run)
    check(not os.path.exists(token), "the token stays after the run")


def a_client_in_python_has_its_role_alone(stage):
    """With pyzmq, over CURVE: it joins, and whatever another role sends is refused."""
    python = python_with("zmq")
    if not python:
        print("skipped: a_client_in_python_has_its_role_alone: no pyzmq")
        return
    keys(stage, "add", "robot")
    robot = copied(stage, "robot")
    run, where = start(stage)
    done = subprocess.run([python, os.path.join(SOURCE, "tests", "conformance", "keyed.py"), robot, where["modelserver"], "actor-0"],
                          env=stage.env, text=True, capture_output=True, timeout=60, check=False)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    refused_all = {name: str(KEY) for name in ("Policy", "Progress", "EvalReport", "StatusRequest", "Hello-other", "Hello-learner",
                                               "Hello-evaluator")}
    check(said == {"Hello": "12", **refused_all}, f"{done.stdout}{done.stderr}")
    check(counter(status(stage, where["modelserver"]), "refused_key") == len(refused_all), "not counted")
    stop(stage, run)


def two_machines(stage):
    """Two network namespaces with a cable between them, and one file that is copied."""
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode != 0 or not shutil.which("ip"):
        print("skipped: two_machines: no network namespaces")
        return
    spur, spur_actor = os.path.join(BIN, "spur"), os.path.join(BIN, "spur-actor")
    sets = " ".join(f"--set {key}={str(value).replace(' ', '')}" for key, value in {**SHORT, **LONG}.items())
    script = f"""
        unshare -n sleep 120 & there=$!
        ip link set lo up
        for i in $(seq 50); do
            ip link add near type veth peer name far netns $there 2>errors && break
            sleep 0.1
        done
        ip addr add 10.77.0.1/24 dev near && ip link set near up || exit 99
        on_robot() {{ nsenter -t $there -n "$@"; }}
        on_robot ip link set lo up
        on_robot ip addr add 10.77.0.2/24 dev far && on_robot ip link set far up || exit 99
        {spur} keys make --dir keys && {spur} keys add robot --dir keys && mkdir robot && mv keys/robot.key robot
        {spur} run inverted_pendulum --method mbpo {sets} --actors 0 --run-dir run --listen tcp://10.77.0.1:7000 --keys keys >out 2>&1 & run=$!
        while ! test -e run/endpoints; do sleep 0.1; done
        on_robot {spur_actor} --modelserver tcp://10.77.0.1:7000 >without 2>&1
        echo "without a key: $?"
        on_robot {spur_actor} --keys robot/robot.key --modelserver tcp://10.77.0.1:7000 >with 2>&1 & actor=$!
        for i in $(seq 160); do
            {spur} status run --json >status 2>&1
            python3 -c 'import json; s = json.load(open("status")); exit(s["learner"]["updates"] < 100)' 2>errors && break
            sleep 0.25
        done
        kill -INT $run; wait $run; wait $actor
        echo "with its key: $?"
        kill $there"""
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], cwd=stage.folder, env=stage.env, text=True, timeout=100,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 99:
        print("skipped: two_machines: no cable between namespaces")
        return
    check("without a key: 77" in done.stdout and "with its key: 0" in done.stdout, f"{done.stdout}\n{read(stage.path('with'))}")
    state = json.loads(read(stage.path("status")))
    robot = next(a for a in state["actors"] if a["id"].startswith("robot/"))
    check(robot["steps"] > 300 and state["learner"]["updates"] >= 100, f"{state}")
    print(f"the robot made {robot['steps']} steps, the learner {state['learner']['updates']} updates")


if __name__ == "__main__":
    main(a_run_across_machines_trains, an_actor_with_a_key_answers_at_home, two_machines, a_client_in_python_has_its_role_alone, everybody_else_is_refused, a_loopback_address_needs_the_token)
