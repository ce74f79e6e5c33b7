"""ministack's Kinesis on a free port of the loopback. Prints {"port": N} once it listens, and ends with its standard input.

Its own program listens on every interface, and its start (the lifespan of its application) opens the ports of other services as well.
So the application is served here, without that start.

Its sequence numbers begin with zeros, and it compares them as text: who keeps them as the numbers that they are, and asks for what is
at 179, is given nothing behind 00179. Those of Kinesis never do (`0|([1-9]\\d{0,128})`, says its API), so a 1 is put before them here.

A client that opens no further stream on a connection says GOAWAY and goes on with those that are open, as the AWS SDK's does with each
subscription. h2 and Hypercorn take it for the end: the subscription breaks off after one event, or in it where the event is larger than
64 KiB, for ever. So it is not heard here; the connection ends when the client closes it.
"""

import asyncio
import json
import os
import socket
import sys

os.environ["LOG_LEVEL"] = "ERROR"

from h2.connection import H2Connection
from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app
from ministack.services import kinesis

H2Connection._receive_goaway_frame = lambda self, frame: ([], [])
numbered = kinesis._next_sequence_number
kinesis._next_sequence_number = lambda: f"1{numbered()}"


async def without_start(scope, receive, send):
    if scope["type"] != "lifespan":
        return await app(scope, receive, send)
    for moment in ("startup", "shutdown"):
        await receive()
        if moment == "startup":
            print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
        await send({"type": f"lifespan.{moment}.complete"})


async def end_of_input():
    # In a thread, because a pipe, a file and a terminal are not read alike.
    await asyncio.to_thread(sys.stdin.read)


listening = socket.create_server(("127.0.0.1", 0))
config = Config()
config.bind = [f"fd://{listening.fileno()}"]
config.loglevel = "ERROR"
config.keep_alive_timeout = 75
# Connections that clients keep are cut, not waited for.
config.graceful_timeout = 0
asyncio.run(serve(without_start, config, shutdown_trigger=end_of_input))
