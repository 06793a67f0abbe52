"""How is the topology drawn? In four columns: exchange, bindings, queues, subscriptions.

Each queue has a band of its own; what leads to it and what runs there stands beside it. So nothing
has to be arranged: a line crosses another only between the exchange and its bindings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: The four columns: where each begins, how wide it is, and how many characters fit in.
COLUMNS = ((2, 140, 17), (184, 170, 21), (396, 214, 27), (652, 220, 28))
EXCHANGE, BINDINGS, QUEUES, SUBSCRIPTIONS = range(4)

#: The width of the whole; the room for the headings; around the text of a node; of a line of text.
WIDTH, HEAD, PADDING, LINE = 874, 34, 8, 17

#: Between two nodes; between two bands.
GAP, BAND_GAP = 8, 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A line in a node; ``kind`` says how it is to look."""

    words: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a node shows, before it has its place."""

    lines: Sequence[Text]

    #: Everything, for who points at it.
    title: str

    #: Where it leads; empty if nowhere.
    address: str = ""

    #: Whether the routing key that was asked for comes by.
    reached: bool = False

    #: Whether it is drawn with a broken line: it is not as the code declares it.
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One queue with what leads to it and what runs there."""

    queue: Card
    bindings: Sequence[Card]
    subscriptions: Sequence[Card]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A line of text at its place."""

    text: Text
    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A box at its place."""

    card: Card
    x: int
    y: int
    width: int
    height: int
    lines: Sequence[Placed]

    @property
    def middle(self) -> int:
        """How far down its middle is."""
        return self.y + self.height // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A line from one node to another."""

    path: str
    reached: bool
    broken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """Everything that is drawn."""

    height: int
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    width: int = WIDTH
    columns: Sequence[int] = tuple(x for x, _, _ in COLUMNS)


def draw(exchange: Card, bands: Sequence[Band]) -> Diagram:
    """Give everything its place."""
    top, nodes, edges, firsts = HEAD, [], [], []
    for band in bands:
        columns = ((BINDINGS, band.bindings), (QUEUES, [band.queue]),
                   (SUBSCRIPTIONS, band.subscriptions))  # fmt: skip
        height = max(_height(cards) for _, cards in columns)
        bindings, (queue,), subscriptions = (
            _stack(column, cards, top + (height - _height(cards)) // 2) for column, cards in columns
        )
        nodes += [*bindings, queue, *subscriptions]
        edges += [_edge(each, queue) for each in bindings]
        edges += [_edge(queue, each) for each in subscriptions]
        firsts += bindings
        top += height + BAND_GAP
    height = max(top - BAND_GAP, HEAD + _height([exchange]))
    middle = (HEAD + height - _height([exchange])) // 2
    (start,) = _stack(EXCHANGE, [exchange], middle)
    edges = [*(_edge(start, each) for each in firsts), *edges]
    return Diagram(
        # What is reached comes last, so that nothing covers it.
        height=height + 2, nodes=[start, *nodes], edges=sorted(edges, key=lambda each: each.reached)
    )  # fmt: skip


def fitted(words: str, column: int) -> str:
    """Shorten what does not fit into a column; the title has all of it."""
    most = COLUMNS[column][2]
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _height(cards: Sequence[Card]) -> int:
    """How high a stack of nodes is."""
    return sum(_height_of(card) + GAP for card in cards) - GAP if cards else 0


def _height_of(card: Card) -> int:
    return 2 * PADDING + LINE * len(card.lines)


def _stack(column: int, cards: Sequence[Card], top: int) -> list[Node]:
    """Put nodes below each other."""
    x, width, _ = COLUMNS[column]
    nodes = []
    for card in cards:
        height = _height_of(card)
        lines = [
            Placed(text=text, x=x + PADDING, y=top + PADDING + LINE * number + LINE - 4)
            for number, text in enumerate(card.lines)
        ]
        nodes.append(Node(card=card, x=x, y=top, width=width, height=height, lines=lines))
        top += height + GAP
    return nodes


def _edge(start: Node, end: Node) -> Edge:
    """Lead from the right side of one node to the left side of another."""
    left, right = start.x + start.width, end.x
    middle = (left + right) // 2
    bend = f"C{middle} {start.middle} {middle} {end.middle} {right} {end.middle}"
    return Edge(
        path=f"M{left} {start.middle} {bend}",
        reached=start.card.reached and end.card.reached,
        broken=start.card.broken or end.card.broken,
    )
