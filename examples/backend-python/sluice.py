"""Talks to Sluice's operator address: reports outcomes, later states, and what is left. One connection per thread."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import urllib.parse
from typing import Any

ANSWER_SECONDS = 5.0
# Tries of one report; the pauses between them add up to less than Sluice's own patience (outcome_timeout_seconds, 60).
TRIES = 7
PAUSE_SECONDS_MAX = 8.0


class Unsure(Exception):
    """No answer: it may or may not have been recorded. Saying the same again is harmless."""


class Refused(Exception):
    """An answer that saying it again will not change."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


class Sluice:
    """Every method may be repeated, and is, until there is an answer."""

    def __init__(self, url: str, token: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not an address such as http://127.0.0.1:8081")
        self._tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._threads = threading.local()

    def outcome(self, entry: str, report: dict[str, Any]) -> None:
        """Reports what an entry came to. Refused with 409 when it came to something else before: the first one stands."""
        self._repeat("POST", f"/v1/turns/{_path(entry)}/outcome", report)

    def state(self, entry: str, order: str, state: str) -> None:
        """Reports that an order was paid, or closed."""
        self._repeat("POST", f"/v1/turns/{_path(entry)}/outcome", {"order": order, "state": state})

    def remaining(self, sale: str, sku: str, units: int) -> None:
        """Says how many units can still be sold: the pace of the line follows it."""
        self._repeat("PUT", f"/v1/sales/{_path(sale)}/skus/{_path(sku)}/remaining", {"remaining": units})

    # ------------------------------------------------------------------------------------------------------------------

    def _repeat(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        pause = 0.25
        for left in range(TRIES - 1, -1, -1):
            try:
                return self._once(method, path, body)
            except (OSError, http.client.HTTPException, Unsure):
                self._hang_up()
                if left == 0:
                    raise Unsure(f"{method} {path} had no answer in {TRIES} tries") from None
            time.sleep(random.uniform(0, pause))
            pause = min(pause * 2, PAUSE_SECONDS_MAX)
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        connection = self._connection()
        connection.request(method, path, json.dumps(body), self._headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status in (408, 429) or answer.status >= 500:
            raise Unsure(f"{answer.status}")
        try:
            told = json.loads(text) if text else {}
        except ValueError:
            told = {}
        if not isinstance(told, dict):
            told = {}
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, str(told.get("detail", "no explanation")))
        return told

    def _connection(self) -> http.client.HTTPConnection:
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
            connection = kind(self._host, self._port, timeout=ANSWER_SECONDS)
            self._threads.connection = connection
        return connection

    def _hang_up(self) -> None:
        connection = getattr(self._threads, "connection", None)
        if connection is not None:
            connection.close()
            self._threads.connection = None


def _path(text: str) -> str:
    return urllib.parse.quote(text, safe="")
