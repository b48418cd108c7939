# SPDX-License-Identifier: MIT
"""One connection of a core: a session joined to the callbacks that really send and reopen.

Both cores share this and nothing more: saying who they are, doing what the
session finds due, stamping the run's id on every message.
"""
import logging
from dataclasses import dataclass

from . import session as sessions
from .wire import pb

MODELSERVER, LEARNER = "spur-modelserver", "spur-learner"

EXIT_OK, EXIT_FAILURE, EXIT_USAGE, EXIT_TEMPFAIL, EXIT_PROTOCOL = 0, 1, 64, 75, 76


@dataclass
class Identity:
    """Who runs here."""
    id: str
    host: str
    version: str
    incarnation: int
    pid: int
    obs_dim: int
    act_dim: int
    modelserver: str
    learner: str = ""  # "": an evaluator needs none


class Client:
    """io has send(peer, run_id, message) -> taken, and reopen(peer)."""

    def __init__(self, peer, role, who, io, now_ms):
        endpoint = who.modelserver if peer == MODELSERVER else who.learner
        self.session = sessions.Session(peer, endpoint, now_ms, asks_only=peer == LEARNER)
        self.peer, self.role, self.who, self.io = peer, role, who, io
        self.have_version = 0  # for PolicyGet

    @property
    def up(self):
        return self.session.state == sessions.UP

    def _send_first(self):
        who = self.who
        if self.session.asks_only:
            return self.io.send(self.peer, self.session.run_id, pb.PolicyGet(have_version=self.have_version))
        return self.io.send(self.peer, 0, pb.Hello(
            role=self.role, id=who.id, incarnation=who.incarnation, host=who.host, pid=who.pid, version=who.version,
            obs_dim=who.obs_dim, act_dim=who.act_dim))

    def on_tick(self, now_ms):
        """Does what the session finds due, all but heartbeats. True: a heartbeat is due."""
        duties = self.session.on_tick(now_ms)
        if sessions.SAY in duties:
            logging.warning("%s", self.session.waiting(now_ms))
        if sessions.REOPEN in duties:
            self.io.reopen(self.peer)
        if sessions.HELLO in duties and self._send_first():
            self.session.sent(now_ms, hello=True)
        return sessions.HEARTBEAT in duties

    def send(self, now_ms, message):
        """True if the socket took it."""
        taken = self.io.send(self.peer, self.session.run_id, message)
        if taken:
            self.session.sent(now_ms)
        return taken
