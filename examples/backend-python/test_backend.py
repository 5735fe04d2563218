"""The books by themselves; then the whole backend against a real RabbitMQ and a stand-in for Sluice's operator address.

    python -m unittest          (needs pika, and scripts/services for RabbitMQ)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pika

from backend import Unreadable, read_turn
from shop import Shop, Turn

HERE = Path(__file__).resolve().parent
SERVICES = HERE.parent.parent / "scripts" / "services"
TOKEN = "a-token-of-at-least-thirty-two-characters"


def event(entry: str, sale: str = "drop", buyer: str | None = None, sku: str = "standard", quantity: int = 1) -> bytes:
    data = {
        "sale": sale,
        "entry": entry,
        "seq": 1,
        "buyer": buyer or f"buyer-of-{entry}",
        "items": [{"sku": sku, "quantity": quantity}],
        "epoch": 1,
        "attempt": 1,
        "called_at": "2026-11-11T20:00:00.000Z",
    }
    turn = {"specversion": "1.0", "id": entry, "type": "sluice.turn.v1", "source": f"/sales/{sale}", "subject": entry, "data": data}
    return json.dumps(turn).encode()


def until(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class TurnTest(unittest.TestCase):
    def test_items_of_one_sku_are_summed(self) -> None:
        body = json.loads(event("e"))
        body["data"]["items"] = [{"sku": "a", "quantity": 1}, {"sku": "a", "quantity": 2}]
        self.assertEqual(read_turn(json.dumps(body).encode()).items, {"a": 3})

    def test_foreign_messages_are_named_as_such(self) -> None:
        other = json.loads(event("e")) | {"type": "shop.order.v1"}
        broken = json.loads(event("e"))
        broken["data"]["items"] = [{"sku": "a", "quantity": -1}]
        empty = json.loads(event("e"))
        empty["data"]["items"] = []
        for body in [b"", b"\xff", b"[]", b"{}", *(json.dumps(bad).encode() for bad in (other, broken, empty))]:
            with self.assertRaises(Unreadable):
                read_turn(body)


class ShopTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.shop = Shop(f"{folder.name}/shop.db", payment_window_seconds=900)
        self.shop.stock_up("drop", "standard", 2)

    def decide(self, entry: str, **fields: Any) -> str:
        return self.shop.decide(read_turn(event(entry, **fields))).outcome

    def left(self) -> int:
        return self.shop.remaining()["drop", "standard"]

    def test_a_repeat_takes_nothing_more(self) -> None:
        first = self.shop.decide(read_turn(event("e")))
        self.assertEqual(self.shop.decide(read_turn(event("e"))), first)
        self.assertEqual(self.left(), 1)

    def test_all_or_nothing_until_it_is_sold_out(self) -> None:
        self.assertEqual(self.decide("a", quantity=3), "sold_out")
        self.assertEqual([self.decide("b"), self.decide("c"), self.decide("d")], ["reserved", "reserved", "sold_out"])
        self.assertEqual(self.left(), 0)
        both = Turn(entry="e", sale="drop", buyer="x", items={"standard": 1, "nosuch": 1})
        self.assertEqual(self.shop.decide(both).outcome, "sold_out")

    def test_a_buyer_has_one_live_order(self) -> None:
        self.assertEqual(self.decide("a", buyer="x"), "reserved")
        self.assertEqual(self.decide("b", buyer="x"), "refused")

    def test_what_nobody_pays_goes_back_and_is_told(self) -> None:
        self.shop._payment_window_seconds = -1
        late = self.shop.decide(read_turn(event("late")))
        self.shop.settled("late")
        self.shop._payment_window_seconds = 900
        paid = self.shop.decide(read_turn(event("paid")))
        self.assertTrue(self.shop.pay(paid.order or ""))
        self.assertTrue(self.shop.pay(paid.order or ""))
        self.assertEqual((self.shop.close_due(), self.left()), (1, 1))
        self.assertFalse(self.shop.pay(late.order or ""))
        self.assertEqual(self.shop.untold(), [("late", late.order, "closed")], "`paid` was never settled")
        self.shop.told("late", "closed")
        self.shop.settled("paid")
        self.assertEqual(self.shop.untold(), [("paid", paid.order, "paid")])

    def test_what_sluice_does_not_hold_to_goes_back_once(self) -> None:
        self.decide("a")
        self.shop.withdraw("a")
        self.shop.withdraw("a")
        self.assertEqual((self.left(), self.shop.untold()), (2, []))


class StandIn:
    """Sluice's operator address, as far as a backend sees it: the first outcome of an entry stands."""

    def __init__(self) -> None:
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.states: dict[str, str] = {}
        self.remaining: dict[str, int] = {}
        self.contradictions: list[str] = []
        self.reports: defaultdict[str, int] = defaultdict(int)
        self.failing = 0
        lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.body()
                entry = self.path.split("/")[3]
                with lock:
                    if self.headers["authorization"] != f"Bearer {TOKEN}":
                        return self.answer(401, {"detail": "no such token"})
                    if stand_in.failing > 0:
                        stand_in.failing -= 1
                        return self.answer(503, {"detail": "try again"})
                    if "state" in body:
                        stand_in.states[body["order"]] = body["state"]
                        return self.answer(200, {})
                    stand_in.reports[entry] += 1
                    stands = stand_in.outcomes.setdefault(entry, body)
                    if stands == body:
                        return self.answer(200, stands)
                    if not entry.startswith("left"):
                        stand_in.contradictions.append(f"{entry}: {stands} then {body}")
                    self.answer(409, {"detail": "another outcome stands"})

            def do_PUT(self) -> None:
                body = self.body()
                with lock:
                    stand_in.remaining[self.path] = body["remaining"]
                    self.answer(200, {})

            def body(self) -> Any:
                return json.loads(self.rfile.read(int(self.headers["content-length"])))

            def answer(self, status: int, told: dict[str, Any]) -> None:
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                pass  # a backend that is killed does not wait for its answers

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


class BackendTest(unittest.TestCase):
    services: subprocess.Popen[str]
    url: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.services = subprocess.Popen(
            [SERVICES, "run", "rabbitmq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for line in iter(cls.line, "ready"):
            name, _, value = line.partition("=")
            if name == "RABBITMQ_URL":
                cls.url = value

    @classmethod
    def line(cls) -> str:
        assert cls.services.stdout is not None
        line = cls.services.stdout.readline()
        if not line:
            raise AssertionError("scripts/services ended")
        return line.rstrip()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.services.communicate()

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.books = f"{folder.name}/shop.db"
        self.sluice = StandIn()
        self.addCleanup(self.sluice.server.server_close)
        self.addCleanup(self.sluice.server.shutdown)
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            for queue in ("sluice.turns", "sluice.dead"):
                channel.queue_delete(queue)
            quorum = {"x-queue-type": "quorum"}
            channel.queue_declare("sluice.dead", durable=True, arguments=quorum)
            dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "sluice.dead"}
            channel.queue_declare("sluice.turns", durable=True, arguments=quorum | dead)

    def backend(self, stock: int, *more: str, token: str = TOKEN) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "backend.py"), "--admin", self.sluice.url, "--books", self.books]
            + ["--stock", f"drop/standard={stock}", "--pay-listen", "127.0.0.1:0", *more],
            env=os.environ | {"SLUICE_RABBITMQ__URL": self.url, "SLUICE_TOKEN": token},
            stderr=subprocess.DEVNULL,
        )

        def end() -> None:
            process.kill()
            process.wait()

        self.addCleanup(end)
        return process

    def release(self, *bodies: bytes) -> None:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish("", "sluice.turns", body, pika.BasicProperties(delivery_mode=2))

    def depth(self, queue: str) -> int:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            depth: int = connection.channel().queue_declare(queue, passive=True).method.message_count
            return depth

    def count(self, outcome: str) -> int:
        return sum(report["outcome"] == outcome for report in list(self.sluice.outcomes.values()))

    def test_killed_midway_it_contradicts_nothing_and_loses_nothing(self) -> None:
        self.release(*(event(f"entry-{n}") for n in range(600)))
        first = self.backend(stock=400)
        until("some are settled", lambda: len(self.sluice.outcomes) > 100)
        first.kill()
        first.wait()
        self.assertLess(len(self.sluice.outcomes), 600, "it was killed too late to show anything")
        self.backend(stock=400)
        until("all are settled", lambda: len(self.sluice.outcomes) == 600)
        until("all are acknowledged", lambda: self.depth("sluice.turns") == 0)
        self.assertEqual(self.sluice.contradictions, [])
        self.assertEqual((self.count("reserved"), self.count("sold_out")), (400, 200))
        until("nothing is left", lambda: self.sluice.remaining.get("/v1/sales/drop/skus/standard/remaining") == 0)

    def test_a_broker_that_restarts_is_found_again(self) -> None:
        process = self.backend(stock=10)
        self.release(event("before"))
        until("it is settled", lambda: "before" in self.sluice.outcomes)
        assert self.services.stdin is not None
        self.services.stdin.write("restart rabbitmq\n")
        self.services.stdin.flush()
        for _ in iter(self.line, "done restart rabbitmq"):
            pass
        self.release(event("after"))
        until("it is settled", lambda: "after" in self.sluice.outcomes)
        self.assertIsNone(process.poll())

    def test_an_unanswered_report_is_repeated(self) -> None:
        self.sluice.failing = 3
        self.backend(stock=10)
        self.release(event("e"))
        until("it is settled", lambda: "e" in self.sluice.outcomes)
        until("it is acknowledged", lambda: self.depth("sluice.turns") == 0)

    def test_another_outcome_that_stands_gives_the_goods_back(self) -> None:
        self.sluice.outcomes["left-1"] = {"outcome": "left"}
        self.backend(stock=1)
        self.release(event("left-1"))
        until("it was reported", lambda: self.sluice.reports["left-1"] > 0)
        self.release(event("next"))
        until("it is settled", lambda: "next" in self.sluice.outcomes)
        self.assertEqual(self.sluice.outcomes["next"]["outcome"], "reserved")

    def test_unpaid_orders_are_closed_and_the_link_is_the_checkout(self) -> None:
        self.backend(1, "--payment-window-seconds", "1", "--checkout", "https://shop.example.com/pay")
        self.release(event("e"))
        until("it is settled", lambda: "e" in self.sluice.outcomes)
        report = self.sluice.outcomes["e"]
        self.assertEqual(report["url"], f"https://shop.example.com/pay/{report['order']}")
        until("it is closed", lambda: self.sluice.states == {report["order"]: "closed"})
        until("the unit is back", lambda: self.sluice.remaining.get("/v1/sales/drop/skus/standard/remaining") == 1)

    def test_foreign_messages_are_set_aside(self) -> None:
        self.backend(stock=1)
        self.release(b"not json", event("e"))
        until("the turn is settled", lambda: "e" in self.sluice.outcomes)
        until("the other is dead", lambda: self.depth("sluice.dead") == 1)
        until("nothing is left", lambda: self.depth("sluice.turns") == 0)

    def test_a_wrong_token_ends_it_and_the_turn_stays(self) -> None:
        process = self.backend(stock=1, token="wrong")
        self.release(event("e"))
        self.assertEqual(process.wait(30), 1)
        until("the turn is back", lambda: self.depth("sluice.turns") == 1)
        self.assertEqual(self.sluice.outcomes, {})

    def test_sigterm_finishes_what_is_in_hand(self) -> None:
        process = self.backend(stock=1)
        self.release(event("e"))
        until("it is settled", lambda: "e" in self.sluice.outcomes)
        process.terminate()
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(self.depth("sluice.turns"), 0)


if __name__ == "__main__":
    unittest.main()
