"""moto's DynamoDB on a free port of the loopback. Prints {"port": N} once it listens, and ends with its standard input."""

import json
import logging
import sys

from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
_, port = server.get_host_and_port()
print(json.dumps({"port": port}), flush=True)
sys.stdin.read()
server.stop()
