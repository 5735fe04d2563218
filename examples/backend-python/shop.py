"""The shop's own books, in one SQLite file: stock, orders, and what Sluice has yet to be told.

Everything here happens once per entry, however often a turn is delivered: the row of the entry is written in the same
transaction as the stock it takes, and a repeat finds the row.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (
    sale      TEXT NOT NULL,
    sku       TEXT NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0),
    PRIMARY KEY (sale, sku)
) STRICT;
CREATE TABLE IF NOT EXISTS decisions (
    entry    TEXT PRIMARY KEY,
    sale     TEXT NOT NULL,
    buyer    TEXT NOT NULL,
    outcome  TEXT NOT NULL CHECK (outcome IN ('reserved', 'sold_out', 'refused')),
    order_id TEXT UNIQUE,
    pay_by   INTEGER,                       -- seconds since 1970
    state    TEXT NOT NULL CHECK (state IN ('open', 'paid', 'closed', 'none')),
    settled  INTEGER NOT NULL DEFAULT 0,    -- Sluice has the outcome
    told     TEXT NOT NULL DEFAULT 'open'   -- the state that Sluice was told last
) STRICT;
CREATE TABLE IF NOT EXISTS items (
    entry    TEXT NOT NULL REFERENCES decisions (entry),
    sku      TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (entry, sku)
) STRICT;
-- One live order per buyer and sale, even if two turns of one buyer are decided at once.
CREATE UNIQUE INDEX IF NOT EXISTS one_live_order ON decisions (sale, buyer) WHERE state IN ('open', 'paid');
CREATE INDEX IF NOT EXISTS due ON decisions (pay_by) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS untold ON decisions (entry) WHERE settled AND state != told AND state != 'none';
"""


@dataclass(frozen=True)
class Turn:
    """What one message asks for."""

    entry: str
    sale: str
    buyer: str
    items: dict[str, int]


@dataclass(frozen=True)
class Decision:
    """What an entry came to. The same for every delivery of its turn."""

    entry: str
    outcome: str
    order: str | None
    pay_by: int | None

    def pay_by_text(self) -> str | None:
        if self.pay_by is None:
            return None
        return datetime.fromtimestamp(self.pay_by, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Shop:
    """One connection, one writer at a time; several processes may share the file."""

    def __init__(self, path: str, payment_window_seconds: int) -> None:
        self._lock = threading.Lock()
        self._payment_window_seconds = payment_window_seconds
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)

    def stock_up(self, sale: str, sku: str, units: int) -> None:
        """Says how much there is of a SKU, the first time it is named."""
        with self._transaction() as db:
            db.execute("INSERT INTO stock VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (sale, sku, units))

    def decide(self, turn: Turn) -> Decision:
        """Sets the goods aside, all or none; or says why not. A repeat returns what was decided first."""
        with self._transaction():
            known = self._known(turn.entry)
            if known:
                return known
            if self._has_live_order(turn):
                return self._record(turn, "refused")
            if not self._take(turn):
                return self._record(turn, "sold_out")
            return self._record(turn, "reserved")

    def pay(self, order: str) -> bool:
        """Takes the money for an order that still stands. True for a repeat as well."""
        with self._transaction() as db:
            db.execute("UPDATE decisions SET state = 'paid' WHERE order_id = ? AND state = 'open'", (order,))
            row = db.execute("SELECT state FROM decisions WHERE order_id = ?", (order,)).fetchone()
            return row is not None and row[0] == "paid"

    def close_due(self) -> int:
        """Closes the orders nobody paid in time, and gives their goods back."""
        with self._transaction() as db:
            due = db.execute(
                "SELECT entry FROM decisions WHERE state = 'open' AND pay_by < ? LIMIT 500", (int(time.time()),)
            ).fetchall()
            for (entry,) in due:
                self._give_back(entry)
            return len(due)

    def settled(self, entry: str) -> None:
        """Sluice has taken the outcome."""
        with self._transaction() as db:
            db.execute("UPDATE decisions SET settled = 1 WHERE entry = ?", (entry,))

    def withdraw(self, entry: str) -> None:
        """Sluice holds to another outcome of this entry: what was set aside for it goes back."""
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM decisions WHERE entry = ? AND state = 'open'", (entry,)).fetchone():
                self._give_back(entry)
            db.execute("UPDATE decisions SET told = state WHERE entry = ?", (entry,))

    def untold(self) -> list[tuple[str, str, str]]:
        """(entry, order, state) of orders whose end Sluice has not heard of."""
        with self._lock:
            return self._db.execute(
                "SELECT entry, order_id, state FROM decisions"
                " WHERE settled AND state != told AND state != 'none' LIMIT 100"
            ).fetchall()

    def told(self, entry: str, state: str) -> None:
        with self._transaction() as db:
            db.execute("UPDATE decisions SET told = ? WHERE entry = ?", (state, entry))

    def remaining(self) -> dict[tuple[str, str], int]:
        with self._lock:
            rows = self._db.execute("SELECT sale, sku, available FROM stock").fetchall()
        return {(sale, sku): available for sale, sku, available in rows}

    # ------------------------------------------------------------------------------------------------------------------

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self._lock)

    def _known(self, entry: str) -> Decision | None:
        row = self._db.execute(
            "SELECT entry, outcome, order_id, pay_by FROM decisions WHERE entry = ?", (entry,)
        ).fetchone()
        return Decision(*row) if row else None

    def _has_live_order(self, turn: Turn) -> bool:
        row = self._db.execute(
            "SELECT 1 FROM decisions WHERE sale = ? AND buyer = ? AND state IN ('open', 'paid')", (turn.sale, turn.buyer)
        ).fetchone()
        return row is not None

    def _take(self, turn: Turn) -> bool:
        stock = {
            sku: available
            for sku, available in self._db.execute("SELECT sku, available FROM stock WHERE sale = ?", (turn.sale,))
        }
        if any(stock.get(sku, 0) < quantity for sku, quantity in turn.items.items()):
            return False
        self._db.executemany(
            "UPDATE stock SET available = available - ? WHERE sale = ? AND sku = ?",
            [(quantity, turn.sale, sku) for sku, quantity in turn.items.items()],
        )
        return True

    def _record(self, turn: Turn, outcome: str) -> Decision:
        reserved = outcome == "reserved"
        decision = Decision(
            entry=turn.entry,
            outcome=outcome,
            order=str(uuid.uuid4()) if reserved else None,
            pay_by=int(time.time()) + self._payment_window_seconds if reserved else None,
        )
        self._db.execute(
            "INSERT INTO decisions (entry, sale, buyer, outcome, order_id, pay_by, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (turn.entry, turn.sale, turn.buyer, outcome, decision.order, decision.pay_by, "open" if reserved else "none"),
        )
        if reserved:
            self._db.executemany(
                "INSERT INTO items VALUES (?, ?, ?)", [(turn.entry, sku, n) for sku, n in turn.items.items()]
            )
        return decision

    def _give_back(self, entry: str) -> None:
        self._db.execute("UPDATE decisions SET state = 'closed' WHERE entry = ?", (entry,))
        self._db.execute(
            "UPDATE stock SET available = available + items.quantity FROM items, decisions"
            " WHERE items.entry = ?1 AND decisions.entry = ?1 AND stock.sale = decisions.sale AND stock.sku = items.sku",
            (entry,),
        )


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK when the body raised."""

    def __init__(self, db: sqlite3.Connection, lock: threading.Lock) -> None:
        self._db = db
        self._lock = lock

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        return self._db

    def __exit__(self, kind: object, *_rest: object) -> None:
        try:
            self._db.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self._lock.release()
