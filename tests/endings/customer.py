"""An account that calls by its key, and opens its pages in a browser."""

import re
from html import unescape
from threading import Lock

import requests
from msgspec import Struct

from tests.findings.accounts import Account
from tests.stack import Running

_TOKEN = re.compile(r'<meta name="form-token" content="([0-9a-f]{64})">')
_ROW = re.compile(r'<tr><td class="whole"><a href="/history/([0-9a-f-]{36})">.*?</tr>', re.DOTALL)
_CELL = re.compile(r"<td[^>]*>(.*?)</td>", re.DOTALL)
_OLDER = re.compile(r'href="(/history\?[^"]*cursor=[^"]*)">Older')


class Line(Struct, frozen=True):
    """A row of the history page."""

    job: str
    text: str
    state: str
    credits: str


class Customer(Account):
    """Registered, and logged in to the dashboard."""

    def __init__(self, stack: Running) -> None:
        super().__init__(stack)
        self._browser = requests.Session()
        self._lock = Lock()  # one page at a time, as in one window
        form = {"email": self.email, "password": self.password}
        assert self._send("/login", form).url != f"{self.url}/login"

    def cancel(self, job: str) -> None:
        """By the button of the job's page."""
        with self._lock:
            self._send(f"/history/{job}/cancel", {}, page=f"/history/{job}")

    def history(self) -> dict[str, Line]:
        """All rows of the history page, by the first word of the text."""
        found: dict[str, Line] = {}
        path: str | None = "/history"
        while path is not None:
            page = self._open(path)
            found |= {line.text.split()[0]: line for line in _lines(page)}
            older = _OLDER.search(page)
            path = unescape(older[1]) if older else None
        return found

    def page_of(self, job: str) -> str:
        """What a customer reads on the page of a job."""
        main = self._open(f"/history/{job}").partition("<h1>")[2]
        return _words(main)

    def _open(self, path: str) -> str:
        answer = self._browser.get(self.url + path, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.text

    def _send(self, path: str, fields: dict[str, str], *, page: str | None = None) -> requests.Response:
        token = _TOKEN.search(self._open(page or path))
        assert token is not None
        answer = self._browser.post(self.url + path, data={"form_token": token[1], **fields}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer


def _lines(page: str) -> list[Line]:
    return [
        Line(row[1], cells[1], cells[3], cells[5])
        for row in _ROW.finditer(page)
        if (cells := [_words(cell) for cell in _CELL.findall(row[0])])
    ]


def _words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
