# SPDX-License-Identifier: MIT
"""An actor of spur in Python: it steps a Gymnasium environment with the run's
newest policy and streams what it sees to the model server.

    python3 -m spur_actor --env my_module:make_env --modelserver ENDPOINT --learner ENDPOINT

What goes over the wire is in docs/protocol.md. The modules, in the order of
dependence; a core has no socket, clock or thread, so a test drives it by calling it:

    rng, wire        streams of random numbers; messages as bytes, checked
    session, spool   a client's side of a connection; rows until they are acknowledged
    policy           the network that acts
    environment      what is asked of an environment, and what is said when it does not fit
    actor, evaluator the two cores
    process          sockets, clock, signals and the two threads around a core
"""

__version__ = "0.1.0"  # spur's own: tests/python compares them
