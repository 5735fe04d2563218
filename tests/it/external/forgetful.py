"""An order backend that forgets: takes so many turns, acknowledges them, and says nothing about any. Prints their entries."""

import json
import sys

import pika

count = int(sys.argv[2])
with pika.BlockingConnection(pika.URLParameters(sys.argv[1])) as connection:
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    for method, _, body in channel.consume("sluice.turns", inactivity_timeout=30):
        if method is None:
            sys.exit("no turn came")
        print(json.loads(body)["data"]["entry"], flush=True)
        channel.basic_ack(method.delivery_tag)
        count -= 1
        if count == 0:
            break
    channel.cancel()
