"""An order backend of one's own: takes turns from `sluice.turns`, decides them in its own books, and reports the outcomes.

The order of things is what makes it safe: decide (durably, once per entry), report (until there is an answer), acknowledge.
Killed between any two of them, the turn is delivered again, the books return what was decided, and the same is reported.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pika
import pika.exceptions

from shop import Shop, Turn
from sluice import Refused, Sluice, Unsure

QUEUE = "sluice.turns"
TYPE = "sluice.turn.v1"
# Turns in hand at most: reports under way at once, and as many again waiting for them.
REPORTS = 16
PREFETCH = 2 * REPORTS
RECONNECT_SECONDS_MAX = 30.0

log = logging.getLogger("backend")


class Unreadable(Exception):
    """A message that is no turn."""


def read_turn(body: bytes) -> Turn:
    """Reads a CloudEvent in structured mode. Fields it does not know are none of its business."""
    try:
        event = json.loads(body)
        if event["type"] != TYPE:
            raise Unreadable(f"its type is {event['type']!r}, not {TYPE}")
        data = event["data"]
        items: dict[str, int] = {}
        for item in data["items"]:
            if not isinstance(item["quantity"], int) or item["quantity"] < 1:
                raise Unreadable("a quantity is no positive number")
            items[item["sku"]] = items.get(item["sku"], 0) + item["quantity"]
        turn = Turn(entry=data["entry"], sale=data["sale"], buyer=data["buyer"], items=items)
    except (ValueError, KeyError, TypeError) as fault:
        raise Unreadable(f"it is not a turn: {fault!r}") from fault
    if not items or not all(isinstance(text, str) for text in (turn.entry, turn.sale, turn.buyer)):
        raise Unreadable("it is not a turn: a field is missing or of the wrong type")
    return turn


class Desk:
    """Settles turns. Runs on the threads of the pool."""

    def __init__(self, shop: Shop, sluice: Sluice, checkout: str) -> None:
        self._shop = shop
        self._sluice = sluice
        self._checkout = checkout

    def settle(self, turn: Turn) -> None:
        """Returns once Sluice has the outcome. Raises Unsure when it could not be reached."""
        decision = self._shop.decide(turn)
        report: dict[str, Any] = {"outcome": decision.outcome}
        if decision.order:
            report |= {"order": decision.order, "pay_by": decision.pay_by_text()}
            if self._checkout:
                report["url"] = f"{self._checkout}/{decision.order}"
        stands = True
        try:
            self._sluice.outcome(turn.entry, report)
        except Refused as refusal:
            if refusal.status not in (404, 409):
                raise
            # The entry came to something else before, or its sale was deleted: the buyer left, or has another order.
            log.warning("entry %s: another outcome stands (%s)", turn.entry, refusal)
            stands = False
        self._shop.settled(turn.entry)
        if not stands:
            self._shop.withdraw(turn.entry)


class Consumer:
    """The connection to RabbitMQ: one thread that reads, a pool that settles, acknowledgements by the reading thread."""

    def __init__(self, url: str, settle: Callable[[Turn], None]) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = 10
        self._parameters.socket_timeout = 5
        self._parameters.blocked_connection_timeout = 30
        self._settle = settle
        self._pool = ThreadPoolExecutor(REPORTS, thread_name_prefix="report")
        self._stopping = threading.Event()
        self.fault: str | None = None

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Consumes, and connects again whenever the connection ends, until told to stop."""
        pause = 1.0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._consume()
            except pika.exceptions.ChannelClosedByBroker as fault:
                # 404: the queue is Sluice's to declare, and it has not yet.
                log.warning("RabbitMQ closed the channel: %s", fault)
            except pika.exceptions.AMQPError as fault:
                log.warning("no connection to RabbitMQ: %r", fault)
            if time.monotonic() - began > 60:
                pause = 1.0
            self._stopping.wait(random.uniform(pause / 2, pause))
            pause = min(pause * 2, RECONNECT_SECONDS_MAX)
        self._pool.shutdown(wait=True)

    def _consume(self) -> None:
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=PREFETCH)
            in_hand: set[int] = set()

            def take(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
                in_hand.add(method.delivery_tag)
                self._pool.submit(self._work, connection, channel, in_hand, method.delivery_tag, body)

            consumer = channel.basic_consume(QUEUE, take)
            log.info("consuming %s", QUEUE)
            # Ends as well when the broker cancels the consumer: its queue was deleted or moved.
            while channel.consumer_tags and not self._stopping.is_set():
                connection.process_data_events(time_limit=0.5)
            if channel.is_open and self._stopping.is_set():
                # What was delivered and not begun goes back; what is in hand is finished and acknowledged.
                channel.basic_cancel(consumer)
                end = time.monotonic() + 10
                while in_hand and time.monotonic() < end:
                    connection.process_data_events(time_limit=0.1)

    def _work(self, connection: Any, channel: Any, in_hand: set[int], tag: int, body: bytes) -> None:
        """One turn, on a thread of the pool. Only the connection's own thread may touch the channel."""
        if not channel.is_open:
            return  # its connection ended while it waited for a thread: the turn is delivered again
        try:
            self._settle(read_turn(body))
            answer = lambda: channel.basic_ack(tag)
        except Unreadable as fault:
            log.error("a message in %s is set aside: %s", QUEUE, fault)
            answer = lambda: channel.basic_reject(tag, requeue=False)
        except Unsure as fault:
            log.warning("a turn goes back to the queue: %s", fault)
            answer = lambda: channel.basic_reject(tag, requeue=True)
        except Refused as refusal:
            # A wrong token, a link to a host that Sluice does not know: every other turn would be refused as well.
            self.fault = f"Sluice refused a report ({refusal}); see [admin] tokens and [worker] link_hosts there"
            self.stop()
            answer = lambda: channel.basic_reject(tag, requeue=True)
        except Exception:
            log.exception("a turn goes back to the queue")
            answer = lambda: channel.basic_reject(tag, requeue=True)

        def say() -> None:
            in_hand.discard(tag)
            if channel.is_open:
                answer()

        try:
            connection.add_callback_threadsafe(say)
        except pika.exceptions.AMQPError:
            # The connection is gone, and the delivery with it: it comes again, and finds its decision in the books.
            pass


def housekeeping(shop: Shop, sluice: Sluice, stopping: threading.Event) -> None:
    """Once a second: closes what nobody paid, tells Sluice how much is left, and what orders came to."""
    told: dict[tuple[str, str], int] = {}
    while not stopping.wait(1.0):
        try:
            shop.close_due()
            # First what is left: an order that is closed must not look like the last hope of the line.
            for (sale, sku), units in shop.remaining().items():
                if told.get((sale, sku)) == units:
                    continue
                try:
                    sluice.remaining(sale, sku, units)
                    told[sale, sku] = units
                except Refused as refusal:
                    # There is no such sale yet, perhaps: asked again in a second.
                    log.warning("%s of %s/%s are left, and Sluice does not want to know: %s", units, sale, sku, refusal)
            for entry, order, state in shop.untold():
                try:
                    sluice.state(entry, order, state)
                except Refused as refusal:
                    log.warning("order %s is %s, and Sluice does not want to know: %s", order, state, refusal)
                shop.told(entry, state)
        except Unsure as fault:
            log.warning("housekeeping stopped short and goes on in a second: %s", fault)


def checkout(shop: Shop, address: str) -> ThreadingHTTPServer:
    """The shop's own pay page, much reduced: POST /{order} pays."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paid = shop.pay(self.path.rsplit("/", 1)[-1])
            body = b'{"state":"paid"}' if paid else b'{"state":"closed"}'
            self.send_response(200 if paid else 409)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    host, _, port = address.rpartition(":")
    return ThreadingHTTPServer((host, int(port)), Page)


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An order backend for Sluice. Secrets come from the environment.")
    parser.add_argument("--admin", default="http://127.0.0.1:8081", help="Sluice's operator address")
    parser.add_argument("--books", default="shop.db", help="the SQLite file of stock and orders")
    parser.add_argument("--stock", action="append", default=[], metavar="SALE/SKU=UNITS", help="repeat for more")
    parser.add_argument("--checkout", default="", help="https address of the pay page; its host must be in link_hosts")
    parser.add_argument("--pay-listen", default="127.0.0.1:8090", help="where the pay page listens")
    parser.add_argument("--payment-window-seconds", type=int, default=900)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    asked = options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    url = os.environ.get("SLUICE_RABBITMQ__URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
    token = os.environ.get("SLUICE_TOKEN")
    if not token:
        print("backend: set SLUICE_TOKEN to a token with the role `backend` ([admin] tokens)", file=sys.stderr)
        return 64
    shop = Shop(asked.books, asked.payment_window_seconds)
    for text in asked.stock:
        place, _, units = text.partition("=")
        sale, _, sku = place.partition("/")
        if not (sale and sku and units.isdecimal()):
            print(f"backend: --stock {text}: write SALE/SKU=UNITS, such as drop/standard=100", file=sys.stderr)
            return 64
        shop.stock_up(sale, sku, int(units))
    sluice = Sluice(asked.admin, token)
    consumer = Consumer(url, Desk(shop, sluice, asked.checkout.rstrip("/")).settle)
    stopping = threading.Event()

    def stop(*_: Any) -> None:
        stopping.set()
        consumer.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    page = checkout(shop, asked.pay_listen)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    upkeep = threading.Thread(target=housekeeping, args=(shop, sluice, stopping))
    upkeep.start()
    consumer.run()
    stop()
    upkeep.join()
    page.shutdown()
    if consumer.fault:
        print(f"backend: {consumer.fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
