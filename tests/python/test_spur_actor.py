#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the Python actor's parts do what docs/protocol.md asks for, without sockets or clocks:
its messages are those of spur.proto, its policy gives PyTorch's numbers, rows are kept until they are
acknowledged, the core steps only as it may, and an environment that does not fit is told why."""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

import interpreter

interpreter.use()

import numpy as np  # noqa: E402
from google.protobuf import descriptor_pb2  # noqa: E402

import spur_actor  # noqa: E402
from spur_actor import rng, session, spool, stepper, wire  # noqa: E402
from spur_actor.actor import ACTING, LEAVE_MS, Actor  # noqa: E402
from spur_actor.client import EXIT_OK, EXIT_PROTOCOL, LEARNER, MODELSERVER, Identity  # noqa: E402
from spur_actor.environment import Environment, Misfit, load  # noqa: E402
from spur_actor.evaluator import Evaluator  # noqa: E402
from spur_actor.policy import Misfit as PolicyMisfit  # noqa: E402
from spur_actor.policy import Policy  # noqa: E402
from spur_actor.wire import pb  # noqa: E402

SOURCE = os.environ["SPUR_SOURCE_ROOT"]
sys.path.insert(0, os.path.join(interpreter.PACKAGE, "examples"))
import pendulum  # noqa: E402

RUN = 0x1234


def golden():
    """{name: array} of the numbers that PyTorch gave."""
    with open(os.path.join(SOURCE, "tests", "golden", "golden.safetensors"), "rb") as f:
        data = f.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    return {name: np.frombuffer(data[8 + length:][slice(*t["data_offsets"])], {"F32": "<f4", "F64": "<f8"}[t["dtype"]])
            .reshape(t["shape"]) for name, t in header.items() if name != "__metadata__"}


def policy_message(version, obs_dim=2, act_dim=1, hidden=3, value=0.1):
    n = (obs_dim + 1) * hidden + (hidden + 1) * 2 * act_dim
    return pb.Policy(version=version, obs_dim=obs_dim, act_dim=act_dim, hidden_width=hidden, hidden_layers=1,
                     params_len=n, params=wire.column(np.full(n, value)))


class Box:
    def __init__(self, low, high, shape):
        self.low, self.high, self.shape, self.dtype = np.full(shape, low), np.full(shape, high), shape, np.float64


class Counting:
    """obs = (episode, step): what was stepped can be read from the rows."""

    def __init__(self, length=5, bad_at=None):
        self.observation_space, self.action_space = Box(-np.inf, np.inf, (2,)), Box(-2.0, 6.0, (1,))
        self.length, self.bad_at = length, bad_at
        self.episode, self.at, self.total, self.actions = 0, 0, 0, []

    def reset(self, seed=None):
        self.episode, self.at = self.episode + 1, 0
        return np.array([self.episode, 0.0]), {}

    def step(self, action):
        self.at, self.total = self.at + 1, self.total + 1
        self.actions.append(float(action[0]))
        reward = float("nan") if self.total == self.bad_at else 1.0
        return np.array([self.episode, self.at]), reward, self.at == self.length, False, {}


class World:
    """A core between a model server and a learner that the test plays."""

    def __init__(self, core=Actor, env=None):
        self.env = env or Counting()
        self.adapted = Environment(self.env)
        self.now, self.sent, self.reopened, self.takes = 1000, [], [], True
        who = Identity("py", "host", "test", 1, 2, self.adapted.obs_dim, self.adapted.act_dim, "tcp://server:1", "tcp://learner:2")
        self.core = core(self.adapted, who, self, self.now)
        self.tick()

    def send(self, peer, run_id, message):
        if self.takes:
            self.sent.append((peer, run_id, message))
        return self.takes

    def reopen(self, peer):
        self.reopened.append(peer)

    def tick(self, ms=0):
        self.now += ms
        self.core.on_tick(self.now)

    def got(self, kind):
        """Messages of a kind sent since the last time this was asked."""
        found = [m for _, _, m in self.sent if isinstance(m, kind)]
        self.sent = [s for s in self.sent if not isinstance(s[2], kind)]
        return found

    def say(self, message, peer=MODELSERVER, run_id=RUN):
        # As from the socket: packed and unpacked.
        run_id, message = wire.unpack(wire.pack(run_id, message))
        self.core.on_message(peer, self.now, run_id, message)

    def welcome(self, next_seq=1, **more):
        self.say(pb.Welcome(**{**dict(seed=7, task="counting", obs_dim=2, act_dim=1, horizon=1000, next_seq=next_seq,
                                      heartbeat_ms=500, lost_after_ms=3000, batch_rows_max=4, unacked_rows_max=8), **more}))

    def steps(self, most=100):
        """Steps while the core may; how many."""
        n = 0
        while self.core.may_step() and n < most:
            self.core.done(self.now, self.core.job()())
            n += 1
        self.tick()
        return n


class Wire(unittest.TestCase):
    def test_the_generated_module_is_that_of_spur_proto(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "set")
            subprocess.run(["protoc-c", f"--proto_path={SOURCE}/proto", f"--descriptor_set_out={path}", "spur.proto"], check=True)
            with open(path, "rb") as f:
                wanted = descriptor_pb2.FileDescriptorSet.FromString(f.read()).file[0]
        has = descriptor_pb2.FileDescriptorProto()
        pb.DESCRIPTOR.CopyToProto(has)
        for described in (wanted, has):  # spellings of what is the default anyway
            for message in described.message_type:
                for field in message.field:
                    field.ClearField("json_name")
        self.assertEqual(wanted, has, "make spur_pb2.py again: protoc --proto_path=proto --python_out=actor/python/spur_actor proto/spur.proto")

    def test_the_version_and_limits_are_spurs(self):
        with open(os.path.join(SOURCE, "meson.build"), encoding="utf-8") as f:
            self.assertEqual(spur_actor.__version__, re.search(r"version: '([0-9.]+)'", f.read()).group(1))
        with open(os.path.join(SOURCE, "proto", "wire.h"), encoding="utf-8") as f:
            defines = dict(re.findall(r"#define WIRE_(\w+) \(?(\d+)", f.read()))
        for name, value in (("SCHEMA", wire.SCHEMA), ("ROWS_MAX", wire.ROWS_MAX), ("DIM_MAX", wire.DIM_MAX),
                            ("EPISODES_MAX", wire.EPISODES_MAX), ("LAYERS_MAX", wire.LAYERS_MAX)):
            self.assertEqual(int(defines[name]), value, name)
        self.assertEqual(int(defines["STRING_MAX"]) - 1, wire.STRING_BYTES_MAX)

    def test_what_is_wrong_is_refused_by_name(self):
        broken = policy_message(1)
        broken.params_len += 1
        not_finite = policy_message(1, value=float("nan"))
        for data, words in ((b"\xff\xff", "do not parse"), (wire.pack(1, pb.Ack(seq=1))[2:], "schema 0"),
                            (pb.Envelope(schema=1).SerializeToString(), "without a message"),
                            (wire.pack(1, broken), "policy.params"), (wire.pack(1, not_finite), "not finite")):
            with self.assertRaisesRegex(wire.WireError, words):
                wire.unpack(data)

    def test_an_empty_message_is_a_message(self):
        self.assertIsInstance(wire.unpack(wire.pack(5, pb.Goodbye()))[1], pb.Goodbye)

    def test_text_is_cut_to_what_the_wire_takes(self):
        self.assertEqual(wire.text("a\0b\n"), "a?b?")
        self.assertEqual(len(wire.text("ä" * 200).encode()), 254)


class ThePolicy(unittest.TestCase):
    def test_gives_the_numbers_of_pytorch(self):
        g = golden()
        message = pb.Policy(version=1, obs_dim=5, act_dim=2, hidden_width=16, hidden_layers=2,
                            params_len=g["policy.params"].size, params=wire.column(g["policy.params"]))
        policy = Policy(message, 5, 2)
        for obs, noise, mean, act in zip(g["policy.obs"], g["policy.noise"], g["policy.mean"], g["policy.act"]):
            np.testing.assert_allclose(policy.mean(obs), mean, atol=1e-6)
            np.testing.assert_allclose(policy.sample(obs, noise), act, atol=1e-6)

    def test_of_another_shape_is_refused(self):
        with self.assertRaisesRegex(PolicyMisfit, "2 observations and 1 actions, the environment 3 and 1"):
            Policy(policy_message(4), 3, 1)


class TheSpool(unittest.TestCase):
    def row(self, i, version=0):
        return stepper.Row(np.array([i, i], np.float32), np.array([0.5], np.float32), i, np.array([i, i + 1], np.float32), 0, version, 1, 0.0)

    def test_keeps_rows_until_they_are_acknowledged(self):
        s = spool.Spool(6, 2, 2, 1)
        for i in range(5):
            s.push(self.row(i, version=i // 4), 0)
        s.seal()  # 0 1 | 2 3 | 4
        for seq in (1, 2, 3):
            self.assertEqual(s.next().seq, seq)
            s.sent()
        self.assertIsNone(s.next())
        self.assertEqual((s.rows, s.in_flight, s.full), (5, 3, False))
        self.assertTrue(s.ack(1))
        self.assertEqual((s.rows, s.in_flight), (3, 2))
        self.assertEqual(s.rewind(), 2)
        self.assertEqual(wire.floats(s.next().rows.reward).tolist(), [2, 3])
        self.assertTrue(s.ack(3))  # it had arrived after all
        self.assertIsNone(s.next())
        self.assertFalse(s.ack(4), "acknowledged what was never sent")
        self.assertEqual(s.rows, 0)

    def test_holds_no_more_than_it_may(self):
        s = spool.Spool(3, 8, 2, 1)
        for i in range(3):
            self.assertFalse(s.full)
            s.push(self.row(i), 0)
        self.assertTrue(s.full)

    def test_the_last_row_of_a_broken_episode_ends_it(self):
        s = spool.Spool(8, 8, 2, 1)
        s.push(self.row(0), 0)
        s.push(self.row(1), 0)
        s.truncate_last()
        s.seal()
        self.assertEqual(s.next().rows.flags, bytes([0, wire.TRUNCATED]))


class TheActor(unittest.TestCase):
    def setUp(self):
        self.w = World()

    def join(self, **more):
        self.w.welcome(**more)
        self.assertEqual(self.w.core.phase, ACTING)

    def test_says_who_it_is_and_what_it_brings(self):
        (hello,) = self.w.got(pb.Hello)
        self.assertEqual((hello.role, hello.id, hello.obs_dim, hello.act_dim), (pb.ROLE_ACTOR, "py", 2, 1))

    def test_steps_as_far_as_its_credit_goes(self):
        self.join()
        self.assertEqual(self.w.steps(), 0)
        self.w.say(pb.Credit(steps_allowed=3, random_steps=3))
        self.assertEqual(self.w.steps(), 3)
        self.assertEqual(self.w.steps(), 0)
        self.assertEqual(sum(m.rows.rows for m in self.w.got(pb.Transitions)), 3)
        self.w.say(pb.Credit(steps_allowed=3, random_steps=3))  # repeated: a total, so nothing more
        self.assertEqual(self.w.steps(), 0)
        self.w.say(pb.Credit(steps_allowed=4, random_steps=4))
        self.assertEqual(self.w.steps(), 1)
        self.assertTrue(all(-2 <= a <= 6 for a in self.w.env.actions) and max(self.w.env.actions) != min(self.w.env.actions))

    def test_stands_still_when_too_much_is_unacknowledged(self):
        self.join()
        self.w.say(pb.Credit(steps_allowed=100, random_steps=100))
        self.assertEqual(self.w.steps(), 8)  # unacked_rows_max
        self.assertIn("network.unacked_rows_max", self.w.core.waiting(self.w.now))
        self.w.say(pb.Ack(seq=1))
        self.assertEqual(self.w.steps(), 4)  # batch_rows_max

    def test_waits_for_the_policy_that_lockstep_asks_for(self):
        self.join()
        self.w.say(pb.Credit(steps_allowed=1, min_policy_version=2, newest_policy_version=2))
        self.assertEqual(self.w.steps(), 0)
        self.assertEqual([m.have_version for m in self.w.got(pb.PolicyGet)], [0])
        self.w.say(policy_message(1), LEARNER)
        self.assertEqual(self.w.steps(), 0, "an older policy will not do")
        self.w.say(policy_message(2), LEARNER)
        self.assertEqual(self.w.steps(), 1)
        self.assertEqual(self.w.got(pb.Transitions)[0].policy_version, 2)
        self.w.say(policy_message(1), LEARNER)
        self.assertEqual(self.w.core.policy_version, 2, "a version never gives way to an older one")

    def test_sends_again_from_where_the_server_stands(self):
        self.join()
        self.w.say(pb.Credit(steps_allowed=8, random_steps=8))
        self.w.steps()
        first = self.w.got(pb.Transitions)
        self.assertEqual([m.seq for m in first], [1, 2])
        # The connection breaks; the server had stored the first.
        self.w.tick(3000)
        self.assertEqual(self.w.reopened, [MODELSERVER])
        self.assertEqual(len(self.w.got(pb.Hello)), 2)
        self.w.welcome(next_seq=2)
        again = self.w.got(pb.Transitions)
        self.assertEqual(again, first[1:])
        # Silence, then an Ack that shows a gap.
        self.w.say(pb.Heartbeat())
        self.w.now += 600
        self.w.say(pb.Ack(seq=1))
        self.assertEqual(self.w.got(pb.Transitions), first[1:])
        self.w.say(pb.Ack(seq=2))
        self.assertEqual(self.w.core.spool.rows, 0)

    def test_beats_while_nothing_else_goes_on(self):
        self.join()
        self.w.got(pb.Heartbeat)
        for _ in range(5):
            self.w.say(pb.Heartbeat())
            self.w.tick(500)
        beats = self.w.got(pb.Heartbeat)
        self.assertEqual(len(beats), 5)
        self.assertIn("credit", beats[0].waiting)

    def test_leaves_when_all_is_acknowledged_or_patience_ends(self):
        for acknowledged in (True, False):
            self.w = World()
            self.join()
            self.w.say(pb.Credit(steps_allowed=3, random_steps=3))
            self.w.steps()
            self.w.core.leave(self.w.now, "test")
            self.assertEqual((self.w.steps(), self.w.got(pb.Goodbye)), (0, []))
            if acknowledged:
                self.w.say(pb.Ack(seq=1))
            else:
                self.w.tick(LEAVE_MS)
            self.assertEqual(len(self.w.got(pb.Goodbye)), 1)
            self.assertEqual((self.w.core.finished, self.w.core.exit_code), (True, EXIT_OK))

    def test_a_step_that_is_not_finite_never_leaves_it(self):
        self.w = World(env=Counting(bad_at=3))
        self.join()
        self.w.say(pb.Credit(steps_allowed=4, random_steps=4))
        self.w.steps()
        self.w.tick(50)
        (message,) = self.w.got(pb.Transitions)
        self.assertEqual(message.rows.flags, bytes([0, wire.TRUNCATED, 0, 0]))
        self.assertEqual(wire.floats(message.rows.obs).reshape(4, 2)[:, 0].tolist(), [1, 1, 2, 2])
        self.assertEqual(self.w.core.steps_bad, 1)

    def test_the_horizon_of_the_run_truncates(self):
        self.join(horizon=2)
        self.w.say(pb.Credit(steps_allowed=4, random_steps=4))
        self.w.steps()
        self.assertEqual(self.w.got(pb.Transitions)[0].rows.flags, bytes([0, wire.TRUNCATED] * 2))
        self.assertEqual([(e.length, e.terminated) for e in self.w.got(pb.Episode)], [(2, False)] * 2)

    def test_other_dimensions_end_it_with_a_sentence(self):
        self.w.welcome(obs_dim=3)
        self.assertEqual((self.w.core.finished, self.w.core.exit_code), (True, EXIT_PROTOCOL))
        self.assertIn("has 3 observations and 1 actions, this environment 2 and 1", self.w.core.why)

    def test_refusals(self):
        self.join()
        self.w.say(pb.Refuse(code=pb.REFUSAL_VALUE, text="one message"))
        self.assertFalse(self.w.core.finished)
        self.w.got(pb.Hello)
        self.w.say(pb.Refuse(code=pb.REFUSAL_UNKNOWN, text="who are you?"))
        self.w.tick()
        self.assertEqual(len(self.w.got(pb.Hello)), 1)
        self.w.say(pb.Refuse(code=pb.REFUSAL_FENCED, fatal=True, text="a newer start is here"))
        self.assertEqual((self.w.core.exit_code, self.w.core.why), (EXIT_PROTOCOL, "a newer start is here"))

    def test_a_server_of_another_run_ends_it(self):
        self.join()
        self.w.tick(3000)
        self.w.say(pb.Welcome(next_seq=1, obs_dim=2, act_dim=1), run_id=RUN + 1)
        self.assertIn("another run", self.w.core.why)


class TheEvaluator(unittest.TestCase):
    def test_plays_the_policy_and_reports(self):
        w = World(Evaluator)
        w.welcome()
        w.say(pb.EvalRequest(id=3, env_steps=50, seed=7, task="counting", episodes=2, policy=policy_message(9, value=0)))
        w.say(pb.EvalRequest(id=4, env_steps=60, seed=7, task="counting", episodes=1, policy=policy_message(10)))
        while w.core.may_step() and not w.core.done(w.now, w.core.job()()):
            pass
        w.tick()
        (report,) = w.got(pb.EvalReport)
        self.assertEqual((report.id, report.env_steps, report.policy_version, list(report.returns), list(report.lengths)),
                         (3, 50, 9, [5, 5], [5, 5]))
        self.assertEqual(w.env.actions, [2.0] * 10, "tanh(0) is the middle of -2 to 6")
        self.assertTrue(w.core.may_step(), "the one that waited")


class Environments(unittest.TestCase):
    def test_that_do_not_fit_are_told_why(self):
        def broken(**changes):
            env = Counting()
            for name, value in changes.items():
                setattr(env, name, value)
            return env
        class Nothing:
            pass
        discrete, unbounded = Nothing(), Box(-np.inf, 1.0, (1,))
        for env, words in ((Nothing(), "no reset"), (broken(observation_space=Nothing()), "FlattenObservation"),
                           (broken(action_space=discrete), "no low and high"), (broken(action_space=unbounded), "action 0: bounds -inf to 1"),
                           (broken(action_space=Box(1.0, 1.0, (1,))), "wrong way round")):
            with self.assertRaisesRegex(Misfit, words):
                Environment(env)
        for changes, call, words in ((dict(reset=lambda seed: (np.array([0, np.inf]), {})), lambda e: e.reset(1), "reset.*not finite"),
                                     (dict(reset=lambda seed: np.zeros(2)), lambda e: e.reset(1), r"\(obs, info\)"),
                                     (dict(reset=lambda seed: (np.zeros(3), {})), lambda e: e.reset(1), r"shape \(3,\), observation_space says \(2,\)"),
                                     (dict(step=lambda a: (np.zeros(2), 1.0, False, {})), lambda e: e.step(np.zeros(1)), "terminated, truncated")):
            with self.assertRaisesRegex(Misfit, words):
                call(Environment(broken(**changes)))

    def test_names_that_lead_nowhere(self):
        for name, words in (("pendulum", "MODULE:FUNCTION"), ("no_such_module:make", "no module no_such_module"),
                            ("pendulum:mak_env", "no function mak_env; it has .*make_env")):
            with self.assertRaisesRegex(Misfit, words):
                load(name)

    def test_actions_are_scaled_to_the_bounds(self):
        env = Counting()
        for a in (-1.0, 0.0, 1.0, np.float32(0.25)):
            Environment(env).step(np.array([a], np.float32))
        self.assertEqual(env.actions, [-2.0, 2.0, 6.0, 3.0])

    def test_start_states_and_actions_follow_from_numbers(self):
        self.assertEqual(rng.reset_seed(1, rng.ENV_RESET, 0, 5), rng.reset_seed(1, rng.ENV_RESET, 0, 5))
        seeds = {rng.reset_seed(seed, use, sub, number) for seed in (1, 2) for use in (rng.ENV_RESET, rng.EVAL_RESET)
                 for sub in (0, 1) for number in (0, 1)}
        self.assertEqual(len(seeds), 16)


class ThePendulum(unittest.TestCase):
    def test_is_mujocos_step_for_step(self):
        with open(os.path.join(SOURCE, "tests", "parity", "inverted_pendulum.json"), encoding="utf-8") as f:
            trajectories = json.load(f)["trajectories"]
        steps = 0
        for t in trajectories:
            state = (*t["init_qpos"], *t["init_qvel"])
            for action, qpos, qvel, terminated in zip(t["action"], t["qpos"], t["qvel"], t["terminated"]):
                env = pendulum.Pendulum()
                env.state = state
                obs, reward, ended, truncated, _ = env.step(action)
                state = (*qpos, *qvel)
                np.testing.assert_allclose(obs, state, rtol=0, atol=1e-14)
                self.assertEqual((reward, ended, truncated), (1.0, bool(terminated), False))
                steps += 1
        self.assertGreater(steps, 100)

    def test_the_rails_end_holds_the_cart(self):
        state = (0.97, 0.01, 1.5, -0.1)
        for _ in range(2):
            state = pendulum.advance(*state, 30.0)
        # As libmujoco 2.2.2 computes it.
        np.testing.assert_allclose(state, RAIL_END, rtol=0, atol=1e-12)


# Two timesteps from (0.97, 0.01, 1.5, -0.1) with a force of 30 N.
RAIL_END = (1.0161022078589346, 0.03864601370609571, 0.39239638436713864, 2.4729849773045518)

if __name__ == "__main__":
    unittest.main(verbosity=1)
