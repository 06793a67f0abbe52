"""Which of many patterns want this routing key? All are asked at once, in a tree of their words.

A key goes down every branch that may still match, one word at a time. So it costs as much as the
branches that it meets, however many patterns there are beside them, and however odd they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from taskrouting import topics

#: Branches that are no word of a routing key, which may itself hold a ``*`` or a ``#``.
_ANY_WORD, _ANY_WORDS = object(), object()
_WILDCARDS = {"*": _ANY_WORD, "#": _ANY_WORDS}


class PatternTree:
    """Names under patterns, found by the routing keys that match."""

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        """``named`` has patterns, each with the name to be found under it."""
        self._root = _Node()
        for pattern, name in named:
            node = self._root
            for word in topics.words(pattern):
                node = node.grow(_WILDCARDS.get(word, word))
            node.names.add(name)

    def find(self, routing_key: str) -> set[str]:
        """Return every name that stands under a pattern which matches ``routing_key``."""
        reached = _with_no_word({self._root})
        for word in topics.words(routing_key):
            reached = _with_no_word({node for each in reached for node in each.after(word)})
        return {name for node in reached for name in node.names}


class _Node:
    """One word of patterns that begin alike."""

    def __init__(self, repeats: bool = False) -> None:
        self.names: set[str] = set()
        self.branches: dict[object, _Node] = {}
        #: A ``#``: any number of words leads here again.
        self._repeats = repeats

    def grow(self, word: object) -> _Node:
        """Return the branch for ``word``, which is made where it is missing."""
        if word not in self.branches:
            self.branches[word] = _Node(repeats=word is _ANY_WORDS)
        return self.branches[word]

    def after(self, word: str) -> Iterator[_Node]:
        """Yield where the next word of a routing key leads."""
        if self._repeats:
            yield self
        for branch in (word, _ANY_WORD):
            if branch in self.branches:
                yield self.branches[branch]


def _with_no_word(nodes: set[_Node]) -> set[_Node]:
    """Add what is reached without another word: each ``#`` that follows."""
    found = list(nodes)
    for node in found:
        if _ANY_WORDS in node.branches:
            found.append(node.branches[_ANY_WORDS])
    return set(found)
