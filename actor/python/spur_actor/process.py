# SPDX-License-Identifier: MIT
"""What surrounds a core: sockets, clock, signals and two threads.

The main thread steps the environment, which may take its time, hold the
processor, or insist on the main thread. Another one owns the sockets and does
all that the protocol asks for meanwhile: heartbeats, acknowledgements, policies,
resending, leaving. The core is shared between them under one lock, which
nobody holds while the environment steps.
"""
import logging
import os
import signal
import socket
import threading
import time
import traceback

import zmq

from . import wire
from .client import EXIT_FAILURE, LEARNER, MODELSERVER
from .environment import Misfit

TICK_MS = 20
LINGER_MS = 500   # for the last words of a socket that closes
STEP_MS = 2000    # that a step under way is waited for when all is over
ECHO_MS = 500     # a second signal within that is the echo of the first


class BadEndpoint(Exception):
    """An address that ZeroMQ cannot use."""


def now_ms():
    return time.monotonic_ns() // 1_000_000


class Sockets:
    """The core's way out, and what comes in. For the network's thread alone."""

    def __init__(self, endpoints):
        self.context = zmq.Context()
        self.poller = zmq.Poller()
        self.endpoints = endpoints  # {peer: endpoint}
        self.open, self.to_reopen = {}, set()
        for peer in endpoints:
            self._connect(peer)

    def _connect(self, peer):
        s = self.context.socket(zmq.DEALER)
        s.setsockopt(zmq.LINGER, LINGER_MS)
        s.setsockopt(zmq.IMMEDIATE, 1)  # what cannot be sent now stays with the core
        s.setsockopt(zmq.MAXMSGSIZE, wire.MESSAGE_MAX)
        s.setsockopt(zmq.IPV6, 1)
        s.setsockopt(zmq.RECONNECT_IVL, 100)
        s.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        s.setsockopt(zmq.TCP_KEEPALIVE, 1)
        try:
            s.connect(self.endpoints[peer])
        except zmq.ZMQError as error:
            s.close(0)
            raise BadEndpoint(f"{self.endpoints[peer]}: {error.strerror}; endpoints look like tcp://HOST:PORT or "
                              "ipc://PATH") from None
        self.open[peer] = s
        self.poller.register(s, zmq.POLLIN)

    # ---- what a core asks for ----

    def send(self, peer, run_id, message):
        if peer in self.to_reopen:
            return False
        try:
            self.open[peer].send(wire.pack(run_id, message), zmq.NOBLOCK)
            return True
        except zmq.Again:
            return False

    def reopen(self, peer):
        self.to_reopen.add(peer)  # done when nobody is in the midst of a message

    # ---- what the thread does ----

    def reopen_due(self):
        for peer in list(self.to_reopen):
            self.poller.unregister(self.open[peer])
            self.open[peer].close(0)
            self._connect(peer)
        self.to_reopen.clear()

    def receive(self):
        """Everything that is there: (peer, run_id, message)."""
        for peer, s in self.open.items():
            while True:
                try:
                    data = s.recv(zmq.NOBLOCK)
                except zmq.Again:
                    break
                try:
                    yield (peer, *wire.unpack(data))
                except wire.WireError as error:
                    logging.warning("a message from %s is refused: %s", self.endpoints[peer], error)

    def close(self):
        for s in self.open.values():
            s.close()
        self.context.term()


class Process:
    """Runs a core to its end. make_core(io, now_ms) makes it."""

    def __init__(self, make_core, modelserver, learner):
        endpoints = {MODELSERVER: modelserver, **({LEARNER: learner} if learner else {})}
        self.sockets = Sockets(endpoints)
        self.core = make_core(self.sockets, now_ms())  # from here on under the lock
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.stepping = threading.Event()
        # Signals and the main thread's results come in as bytes here, whatever the
        # environment is doing: the interpreter writes a signal's number by itself.
        self.bell_in, self.bell = socket.socketpair()
        self.bell.setblocking(False)
        self.bell_in.setblocking(False)
        self.sockets.poller.register(self.bell_in, zmq.POLLIN)
        self.signal_ms = None
        self.failure = ""    # of the environment
        self.broken = False  # the network's thread failed

    # ---- the network's thread ----

    def _ring(self):
        try:
            self.bell.send(b"\0")
        except BlockingIOError:
            pass  # it rings already

    def _answer_bell(self):
        try:
            rings = self.bell_in.recv(4096)
        except BlockingIOError:
            return
        if any(rings):  # signal numbers
            if self.signal_ms is not None and now_ms() - self.signal_ms >= ECHO_MS:
                os._exit(EXIT_FAILURE)  # asked twice: at once
            if self.signal_ms is None:
                self.signal_ms = now_ms()
                self.core.leave(now_ms(), "stopped by a signal")

    def _turn(self):
        """Waits for something to do, and does it. False: all is over."""
        self.sockets.poller.poll(TICK_MS)
        with self.lock:
            self._answer_bell()
            for peer, run_id, message in self.sockets.receive():
                self.core.on_message(peer, now_ms(), run_id, message)
            if self.failure:
                self.core.leave(now_ms(), self.failure, EXIT_FAILURE)
            self.core.on_tick(now_ms())
            self.sockets.reopen_due()
            if self.core.finished or self.core.may_step():
                self.changed.notify()
            return not self.core.finished

    def _serve(self):
        try:
            while self._turn():
                pass
        except Exception:  # noqa: BLE001: the main thread must hear of anything
            traceback.print_exc()
            with self.lock:
                self.broken = True
                self.changed.notify()
        self.sockets.close()
        # A step that does not come back, in code that no signal reaches, holds nobody up.
        end = now_ms() + STEP_MS
        while self.stepping.is_set() and now_ms() < end:
            time.sleep(TICK_MS / 1000)
        if self.stepping.is_set():
            logging.warning("the environment has not come back from its step: leaving without it")
            os._exit(EXIT_FAILURE if self.broken else self.core.exit_code)

    # ---- the main thread ----

    def _work(self):
        while True:
            with self.lock:
                while not (self.core.finished or self.broken or (self.core.may_step() and not self.failure)):
                    self.changed.wait()
                if self.core.finished or self.broken:
                    return
                job = self.core.job()
                self.stepping.set()
            try:
                result = job()
            except Exception as error:  # noqa: BLE001: the environment is not ours
                self.stepping.clear()
                if isinstance(error, Misfit):
                    self.failure = str(error)
                else:
                    traceback.print_exc()
                    self.failure = f"the environment failed: {type(error).__name__}: {error}"
                self._ring()  # the network's thread leaves: the sockets are its own
                continue
            self.stepping.clear()
            with self.lock:
                ring = self.core.done(now_ms(), result)
            if ring:
                self._ring()

    def run(self):
        """Returns the exit code and why it ended."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # the bell says it
        signal.set_wakeup_fd(self.bell.fileno(), warn_on_full_buffer=False)
        network = threading.Thread(target=self._serve, name="network", daemon=True)
        network.start()
        self._work()
        network.join()
        signal.set_wakeup_fd(-1)
        if self.broken:
            return EXIT_FAILURE, "the network's thread failed, see above"
        return self.core.exit_code, self.core.why
