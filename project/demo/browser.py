"""How does the demo use the site? As a browser does: pages, cookies, forms, and nothing else."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

BLOCK = 256 * 1024
TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Page:
    """What the site answered."""

    url: str
    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The page's HTML."""
        return self.body.decode(errors="replace")

    @property
    def errors(self) -> list[str]:
        """What the page's form says is wrong."""
        lists = re.findall(r'<ul class="errorlist.*?</ul>', self.text, re.DOTALL)
        items = re.findall(r"<li>(.*?)</li>", "".join(lists), re.DOTALL)
        return [html.unescape(item).strip() for item in items]

    def find(self, pattern: str) -> str:
        """What the first group of ``pattern`` matches in the HTML; nothing where it does not."""
        found = re.search(pattern, self.text)
        return html.unescape(found.group(1)) if found else ""


class Browser:
    """One visitor of the site at ``origin``, with their cookies."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        # No proxy: the site is on this machine, whatever the environment says of the world.
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def get(self, address: str) -> Page:
        """Look at a page, following where it leads.

        Raises URLError when nobody answers.
        """
        return self._open(self._request(address))

    def submit(
        self, address: str, fields: Mapping[str, str], files: Mapping[str, Path] | None = None
    ) -> Page:
        """Fill in the form on the page ``address`` and send it, as ``multipart/form-data``."""
        token = self.get(address).find(r'name="csrfmiddlewaretoken" value="([^"]+)"')
        boundary = uuid.uuid4().hex
        parts = _Multipart(boundary, {"csrfmiddlewaretoken": token, **fields}, files or {})
        request = self._request(address)
        request.data = parts
        request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
        request.add_header("Content-Length", str(parts.length))
        return self._open(request)

    def _request(self, address: str) -> Request:
        return Request(urljoin(self.origin, address))  # noqa: S310  # the site we have started

    def _open(self, request: Request) -> Page:
        try:
            answer: HTTPResponse | HTTPError = self._opener.open(request, timeout=TIMEOUT)
        except HTTPError as error:
            answer = error
        with answer:
            return Page(answer.url, answer.status or 0, answer.read())


class _Multipart:
    """The body of a form, read from its files as it is sent."""

    def __init__(self, boundary: str, fields: Mapping[str, str], files: Mapping[str, Path]) -> None:
        self._pieces: list[bytes | Path] = []
        for name, value in fields.items():
            self._pieces.append(_head(boundary, f'name="{name}"') + value.encode() + b"\r\n")
        for name, path in files.items():
            filename = path.name.replace('"', "%22")
            head = _head(boundary, f'name="{name}"; filename="{filename}"', "video/mp4")
            self._pieces += [head, path, b"\r\n"]
        self._pieces.append(f"--{boundary}--\r\n".encode())

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return sum(
            piece.stat().st_size if isinstance(piece, Path) else len(piece)
            for piece in self._pieces
        )

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            with piece.open("rb") as file:
                while block := file.read(BLOCK):
                    yield block


def _head(boundary: str, disposition: str, content_type: str = "") -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{kind}\r\n".encode()
