"""How does a value look on a page? JSON, bytes, times and states, made for people to read.

Everything is escaped, values under a name in ``SENSITIVE`` are hidden, and what is long is folded
or cut. What the database holds is not changed by that.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from taskrouting import masking
from taskrouting.exceptions import InvalidEnvelope, NotAccepted
from taskrouting.models import DeadLetter, Delivery
from taskrouting.transport import codecs

#: What stands where there is no value.
NOTHING = "–"

#: Characters of text that are shown, bytes of what is no text, and lines that stand unfolded.
LONGEST_TEXT = 20_000
LONGEST_HEX = 512
UNFOLDED_LINES = 40

#: The longest identifier that is shown whole where the room is scarce.
LONGEST_BRIEF = 16

#: Bodies larger than this are not read as text at all.
LARGEST_READ = 4 * 1024 * 1024

#: A sign beside the word and the colour, for those who cannot tell the colours apart.
SIGNS: dict[str, str] = {
    Delivery.State.PENDING: "…",
    Delivery.State.RUNNING: "▸",
    Delivery.State.HANDLED: "✓",
    Delivery.State.DISCARDED: "–",
    Delivery.State.DEAD: "✕",
    DeadLetter.Resolution.REDRIVEN: "↻",
}

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def json_block(value: Any, label: Any) -> SafeString:
    """Show a JSON value indented, foldable, without what is sensitive."""
    if value in (None, {}, []):
        return format_html("{}", NOTHING)
    return text_block(_indented(masking.hidden(value)), label)


def error_block(text: str) -> SafeString:
    """Show an error, without what stands after a sensitive name."""
    return text_block(masking.hidden_in_text(text), gettext("error")) if text else code("")


def text_block(text: str, label: Any) -> SafeString:
    """Show text as it is, cut where it is long and folded unless it is short."""
    cut = text[:LONGEST_TEXT]
    lines = cut.count("\n") + 1
    rest = len(text) - len(cut)
    return format_html(
        '<details class="taskrouting-block"{}><summary>{}</summary><pre tabindex="0">{}</pre>{}'
        "</details>",
        SafeString(" open" if lines <= UNFOLDED_LINES else ""),
        _summary(label, lines),
        cut,
        _rest(rest),
    )


def body(content: bytes | memoryview, compression: Any = None) -> SafeString:
    """Show a message's body: as JSON or text if it is that, else its first bytes and size."""
    try:
        raw = codecs.unpacked(bytes(content), compression, LARGEST_READ)
    except (InvalidEnvelope, NotAccepted):
        return _size(bytes(content))  # what is in it nobody knows, and somebody could unpack
    text = _as_text(raw) if len(raw) <= LARGEST_READ else None
    if text is None:
        return _hex(raw)
    label = format_html("{} · {}", gettext("body"), filesizeformat(len(raw)))
    return text_block(_readable(text), label)


def instant(when: datetime | None) -> SafeString:
    """Show a time to the second, in the reader's time zone."""
    if when is None:
        return format_html("{}", NOTHING)
    local = timezone.localtime(when) if timezone.is_aware(when) else when
    return format_html(
        '<time datetime="{}" title="{}"><span>{}</span> <span>{}</span></time>',
        local.isoformat(),
        local.isoformat(sep=" "),
        local.strftime("%Y-%m-%d"),
        local.strftime("%H:%M:%S"),
    )


def instant_of(text: object) -> SafeString | str:
    """Show a time that was kept as text; what is no time is shown as it is."""
    try:
        return instant(datetime.fromisoformat(str(text)))
    except ValueError:
        return str(text)


def duration(length: timedelta | float | None) -> str:
    """Say how long something took."""
    if length is None:
        return NOTHING
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 1:
        return gettext("%d ms") % round(seconds * 1000)
    if seconds < 60:
        return gettext("%.1f s") % seconds
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return gettext("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    return gettext("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}


def state(value: str, label: Any) -> SafeString:
    """Show a state by sign, word and colour."""
    sign = format_html('<span aria-hidden="true">{}</span>', SIGNS.get(value, "●"))
    kind = f"taskrouting-state taskrouting-{value}"
    return format_html('<span class="{}">{} {}</span>', kind, sign, label)


def resolution(letter: DeadLetter) -> SafeString:
    """Show whether a dead letter is open, or what was done about it."""
    if letter.resolved_at is None:
        return state("open", gettext("open"))
    return state(letter.resolution, letter.get_resolution_display())


def code(text: str) -> SafeString:
    """Show an identifier in a fixed width."""
    if not text:
        return format_html("{}", NOTHING)
    return format_html('<code class="taskrouting-id">{}</code>', text)


def brief(text: str) -> SafeString:
    """Show the end of an identifier, where the room is scarce: that is where they differ.

    The rest is only out of sight: whoever searches the page or copies it has all of it.
    """
    if len(text) <= LONGEST_BRIEF:
        return code(text)
    whole = (
        '<code class="taskrouting-id taskrouting-brief" title="{}"><bdo dir="ltr">{}</bdo></code>'
    )
    return format_html(whole, text, text)


def place(queue: str, subscription: str) -> SafeString:
    """Show a queue, and below it the subscription, which may break after its dots."""
    words = [(word,) for word in subscription.split(".")]
    dotted = format_html_join(SafeString(".<wbr>"), "{}", words)
    below = format_html('<br><span class="quiet">{}</span>', dotted) if subscription else ""
    return format_html("{}{}", queue or NOTHING, below)


def last_line(text: str) -> str:
    """Return the line of a traceback that says what was wrong."""
    lines = masking.hidden_in_text(text).strip().splitlines()
    return lines[-1] if lines else ""


def _summary(label: Any, lines: int) -> str:
    counted = ngettext("%(count)d line", "%(count)d lines", lines) % {"count": lines}
    return format_html("{} · {}", label, counted)


def _rest(characters: int) -> SafeString | str:
    if not characters:
        return ""
    more = ngettext(
        "… and %(count)d more character that is not shown.",
        "… and %(count)d more characters that are not shown.",
        characters,
    )
    return format_html('<p class="help">{}</p>', more % {"count": characters})


def _size(raw: bytes) -> SafeString:
    """Say only how much there is."""
    text = gettext("%(size)s that are not shown: they may hold what is sensitive.")
    return format_html("{}", text % {"size": filesizeformat(len(raw))})


def _readable(text: str) -> str:
    """Indent JSON, and hide what is sensitive; also in what is nearly JSON, or something else."""
    try:
        return _indented(masking.hidden(json.loads(text)))
    except (ValueError, RecursionError):
        return masking.hidden_in_text(text)


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _as_text(raw: bytes) -> str | None:
    """Read bytes that are text people can read; ``None`` for all others."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _hex(raw: bytes) -> SafeString:
    """Show the first bytes as pairs of digits, sixteen to a line, where they tell no secret."""
    head = raw[:LONGEST_HEX]
    if masking.may_hold(head):
        return _size(raw)
    lines = [head[start : start + 16].hex(" ") for start in range(0, len(head), 16)]
    size = gettext("%(size)s that are no readable text; the first %(shown)s")
    return text_block(
        "\n".join(lines),
        size % {"size": filesizeformat(len(raw)), "shown": filesizeformat(len(head))},
    )
