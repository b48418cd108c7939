#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a run survives when any of its processes is killed: `spur run` restarts it, no acknowledged row is lost
or stored twice, and the number of updates matches the steps."""
import os
import signal

import lmdb_file
from harness import INTERRUPTED, check, end, endpoints, main, progress, read, status, tensors, wait_for

OBS_DIM, ACT_DIM = 4, 1  # of InvertedPendulum
EXPLORE, G, EVAL_EVERY, WARM_START = 500, 12, 3000, 300
# Without end until all are killed, however fast the machine is; then resumed with a budget.
SETS = {"run.steps": 1000000, "run.explore_steps": EXPLORE, "pacing.updates_per_step": G, "eval.every_steps": EVAL_EVERY,
        "model.train_every_steps": 250, "sac.hidden_width": 32, "network.lost_after_ms": 1000, "network.heartbeat_ms": 200}
# States and ensemble reach a learner that returns; learner and model server agree on their numbers.
DHMBPO = {**SETS, "sac.batch_size": 32, "rollout.per_step": None, "rollout.retain_epochs": None,
          "dhmbpo.warm_start_updates": WARM_START, "dhmbpo.starts": 32, "dhmbpo.states": 64,
          "pacing.updates_per_step": 1}
VICTIMS = (("spur-modelserver", "--config"), ("spur-learner", "--config"), ("spur-actor", "--learner"),
           ("spur-actor", "--evaluate"))


def every_process_is_killed_once(stage, *args, sets=SETS, updates_of=lambda steps: G * (steps - EXPLORE)):
    run_dir = stage.path("run-dir")
    run = stage.run(run_dir, *args, sets=sets)

    def state():
        where = endpoints(run_dir)
        return status(stage, where["modelserver"]) if where else None

    def steps():
        now = state()
        return now["env_steps"] if now else 0

    wait_for("learning", lambda: steps() > EXPLORE, 15)
    seen = 0
    for words in VICTIMS:
        pid = stage.find(*words)
        check(pid, f"no {words} among {stage.processes()}")
        os.kill(pid, signal.SIGKILL)
        wait_for(f"another {words[0]}", lambda: stage.find(*words) not in (0, pid), 5)
        before = max(seen, steps())
        wait_for(f"steps after {words[0]} was killed", lambda: steps() > before, 15)
        seen = steps()
        check(run.poll() is None, f"the run ended:\n{read(run.output)[-2000:]}")
    run.send_signal(signal.SIGINT)
    check(end(run, 20) == INTERRUPTED, f"exit code {run.returncode}:\n{read(run.output)[-2000:]}")

    stored = len(lmdb_file.rows(os.path.join(run_dir, "store", "data.mdb"), OBS_DIM, ACT_DIM))
    budget = EVAL_EVERY * (stored // EVAL_EVERY + 1)
    run = stage.start("spur", "run", "--run-dir", run_dir, "--set", f"run.steps={budget}")
    check(end(run, 120) == 0, f"the resumed run fails:\n{read(run.output)[-2000:]}")
    stage.no_orphans()

    last = progress(run_dir)[-1]
    check(last["env_steps"] == budget, f"the last evaluation is at {last['env_steps']} steps")
    updates = int.from_bytes(tensors(os.path.join(run_dir, "checkpoint", "learner.safetensors"))["updates"][2], "little")
    check(updates == updates_of(budget), f"{updates} updates; {updates_of(budget)} are due")


def every_process_of_double_horizons_is_killed_once(stage):
    every_process_is_killed_once(stage, "--method", "dhmbpo", sets=DHMBPO,
                                 updates_of=lambda steps: WARM_START + steps - EXPLORE)


main(every_process_is_killed_once, every_process_of_double_horizons_is_killed_once)
