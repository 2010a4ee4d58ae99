"""Routing: sends a log line under its severity.

    direct_publish.py error disk is full       without arguments: one of each kind
"""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.exchange_declare(exchange="direct_logs", exchange_type="direct")
messages = {"error": "this is error", "info": "hello"}
if len(sys.argv) > 1:
    messages = {sys.argv[1]: " ".join(sys.argv[2:]) or "Hello World!"}
for severity, message in messages.items():
    channel.basic_publish(exchange="direct_logs", routing_key=severity, body=message)
    print(f" [x] Sent {severity!r}:{message!r}")
connection.close()
