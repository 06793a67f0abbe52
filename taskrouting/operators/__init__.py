"""What may an operator do? Whatever it is, it is an event too, with its actor.

=================================  ================================================================
event                              says that somebody
=================================  ================================================================
``taskrouting.operator.redriven``  sent a dead letter round again (``dead_letters.py``)
``taskrouting.operator.discarded`` closed a dead letter for good (``dead_letters.py``)
``taskrouting.operator.pruned``    deleted old deliveries and dead letters (``history.py``)
``taskrouting.operator.unbound``   removed bindings from the broker (``bindings.py``)
=================================  ================================================================
"""

from .bindings import unbind
from .dead_letters import discard, redrive, redrive_delivery, subject_of
from .history import prune

__all__ = ["discard", "prune", "redrive", "redrive_delivery", "subject_of", "unbind"]
