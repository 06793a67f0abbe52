"""How do posters and renditions reach the browser?

Players ask for parts of a file (``Range``), to jump and to begin before it is loaded; Django's
development server gives only whole files. In production a web server does this. What people
uploaded is never served: only what was made from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from mimetypes import guess_type
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

BLOCK = 64 * 1024
ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def media_file(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send the file ``name`` under MEDIA_ROOT, or the part of it that was asked for."""
    path = settings.MEDIA_ROOT / name
    if not path.is_file():
        raise Http404(f"There is no file {name}.")
    wanted = _wanted(request.headers.get("Range", ""), path.stat().st_size)
    response = FileResponse(path.open("rb")) if wanted is None else _part(path, wanted)
    response["Accept-Ranges"] = "bytes"
    return response


def _wanted(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for; ``None`` is all, as for one that we cannot read."""
    asked = ONE_RANGE.fullmatch(header)
    if asked is None or asked.group() == "bytes=-":
        return None
    first, last = asked.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    return range(int(first), min(int(last) + 1, size) if last else size)


def _part(path: Path, wanted: range) -> HttpResponseBase:
    """Send the bytes ``wanted`` of a file, or say that it has no such bytes."""
    size = path.stat().st_size
    if not wanted:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    response = StreamingHttpResponse(_blocks(path, wanted), status=206)
    response["Content-Type"] = guess_type(path)[0] or "application/octet-stream"
    response["Content-Length"] = str(len(wanted))
    response["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return response


def _blocks(path: Path, wanted: range) -> Iterator[bytes]:
    """Read the bytes ``wanted``, a block at a time."""
    with path.open("rb") as file:
        file.seek(wanted.start)
        for at in range(wanted.start, wanted.stop, BLOCK):
            yield file.read(min(BLOCK, wanted.stop - at))
