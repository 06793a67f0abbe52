"""What may an operator do? Whatever it is, it is an event too, with its actor.

=================================  ================================================================
event                              says that somebody
=================================  ================================================================
``taskrouting.operator.redriven``  sent a dead letter round again (``dead_letters.py``)
``taskrouting.operator.discarded`` closed a dead letter for good (``dead_letters.py``)
``taskrouting.operator.pruned``    deleted old deliveries, dead letters and sweeps (``history.py``)
``taskrouting.operator.unbound``   removed bindings from the broker (``bindings.py``)
``taskrouting.operator.paused``    let a queue rest (``queues.py``)
``taskrouting.operator.resumed``   let it go on (``queues.py``)
``taskrouting.operator.stopped``   asked a worker process to stop (``workers.py``)
``taskrouting.operator.restarted`` asked one to make room for a fresh one (``workers.py``)
``taskrouting.operator.exported``  took a copy of the rows of a list (``exports.py``)
``taskrouting.operator.sweep.*``   began, or stopped, to redrive or discard all that match; and
                                   that it ``finished``, or ``failed`` (``sweeps.py``)
=================================  ================================================================
"""

from .bindings import unbind
from .dead_letters import discard, redrive, redrive_delivery, subject_of
from .exports import tell_of_export
from .history import prune
from .queues import pause, resume
from .workers import restart, stop

__all__ = [
    "discard", "pause", "prune", "redrive", "redrive_delivery", "restart", "resume", "stop",
    "subject_of", "tell_of_export", "unbind",
]  # fmt: skip
