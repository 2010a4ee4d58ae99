"""Work queue: sends a task. Each dot in its text is a second of work.

    work_send.py First task...
"""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.queue_declare(queue="work")
message = " ".join(sys.argv[1:]) or "Hello World."
channel.basic_publish(exchange="", routing_key="work", body=message)
print(f" [x] Sent {message!r}")
connection.close()
