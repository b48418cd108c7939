#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows how a run is stopped: one SIGINT ends it with checkpoints and it can be resumed, a second one ends it at
once, and in every case no process remains."""
import glob
import os
import signal
import time

from harness import INTERRUPTED, TERMINATED, check, end, endpoints, main, read, status, wait_for

LONG = {"run.steps": 1000000, "eval.every_steps": 1000000}


def learning(stage, run_dir, beyond_steps=0, seconds=20):
    """Waits until updates are made and the run has the given number of steps; returns the status."""
    def ready():
        # Read each time, because a killed run leaves an old file.
        where = endpoints(run_dir)
        state = status(stage, where["modelserver"]) if where else None
        going = state and state["learner"] and state["learner"]["updates"] > 20
        return state if going and state["env_steps"] > beyond_steps else None
    return wait_for("updates", ready, seconds)


def interrupted_and_resumed(stage):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets=LONG)
    first = learning(stage, run_dir, beyond_steps=250)
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    code = end(run, 20)
    check(code == INTERRUPTED, f"SIGINT: exit code {code}:\n{read(run.output)[-2000:]}")
    stage.no_orphans(1)
    check(glob.glob(os.path.join(run_dir, "checkpoint", "learner*.safetensors")), "no checkpoint of the learner")
    check(os.path.exists(os.path.join(run_dir, "policy.safetensors")), "no policy")
    check(time.monotonic() - began < 10, "it took more than 10 s")

    run = stage.start("spur", "run", "--run-dir", run_dir)
    state = learning(stage, run_dir)
    before = state["learner"]["updates"]
    check(state["env_steps"] >= first["env_steps"] and before >= first["learner"]["updates"],
          f"it began anew: {state['env_steps']} steps and {before} updates")
    check(read(os.path.join(run_dir, "log")).count("resumed from") == 1, "the learner did not resume")
    where = endpoints(run_dir)
    wait_for("it goes on", lambda: status(stage, where["modelserver"])["learner"]["updates"] > before, 10)
    run.send_signal(signal.SIGTERM)
    check(end(run, 20) == TERMINATED, f"SIGTERM: exit code {run.returncode}")
    stage.no_orphans(1)


def twice_means_at_once(stage):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets=LONG)
    learning(stage, run_dir)
    # A stopped model server cannot shut down in order.
    os.kill(stage.find("spur-modelserver"), signal.SIGSTOP)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    check(run.poll() is None, "the run did not wait")
    run.send_signal(signal.SIGINT)
    code = end(run, 2)
    check(code != 0, "an interrupted stop counts as success")
    stage.no_orphans(2)


def killed(stage):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, sets=LONG)
    learning(stage, run_dir)
    check(len(stage.processes()) >= 5, f"only {stage.processes()}")
    run.kill()
    end(run, 2)
    stage.no_orphans(10)
    check(glob.glob(os.path.join(run_dir, "checkpoint", "learner*.safetensors")), "the learner left without a checkpoint")

    # The lock ended with the process: the run can be resumed.
    run = stage.start("spur", "run", "--run-dir", run_dir)
    learning(stage, run_dir)
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == INTERRUPTED, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    stage.no_orphans(1)


def solved_or_spent(stage):
    """A finished run exits with 0; with --require-solved, only a solved one."""
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, "--require-solved", sets={"run.steps": 250, "eval.target": 100000})
    check(end(run, 60) == 3, f"spent: exit code {run.returncode}:\n{read(run.output)[-2000:]}")
    for args, code in (((), 0), (("--require-solved",), 3)):
        again = stage.start("spur", "run", "--run-dir", run_dir, *args)
        check(end(again, 10) == code, f"a finished run, {args}: {again.returncode}")
    solved = stage.run(stage.path("solved"), "--require-solved",
                       sets={"run.steps": 2000, "eval.target": 1, "eval.every_steps": 50, "eval.solved_evaluations": 1,
                             "run.stop_when_solved": "true"})
    check(end(solved, 60) == 0, f"solved: exit code {solved.returncode}:\n{read(solved.output)[-2000:]}")
    stage.no_orphans()


def stopped_processes_are_killed_and_named(stage):
    """Ctrl-C ends a run with a process that does nothing, and says that its checkpoint was not made."""
    for program, code in (("spur-modelserver", 74), ("spur-learner", 74), ("spur-actor", INTERRUPTED)):
        run_dir = stage.path(f"run-{program[5:]}")
        run = stage.run(run_dir, sets=LONG)
        learning(stage, run_dir)
        pid = stage.find(program, "--id actor-0" if program == "spur-actor" else "--bind")
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        check(end(run, 30) == code, f"{program}: exit code {run.returncode}:\n{read(run.output)[-2000:]}")
        seconds = time.monotonic() - began
        check(seconds < 15, f"{program}: it took {seconds:.0f} s")
        check(f", process {pid}, is stopped (SIGSTOP): it is killed" in read(run.output), read(run.output)[-2000:])
        check(("its checkpoint was not made" in read(run.output)) == (code == 74), read(run.output)[-2000:])
        stage.no_orphans(2)
    run = stage.start("spur", "run", "--run-dir", stage.path("run-learner"))
    learning(stage, stage.path("run-learner"))
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == INTERRUPTED, read(run.output))


main(stopped_processes_are_killed_and_named, solved_or_spent, interrupted_and_resumed, twice_means_at_once, killed)
