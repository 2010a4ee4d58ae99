"""Headers: sends a document with what is known of it.

    headers_publish.py "the report" format=pdf type=report
"""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.exchange_declare(exchange="documents", exchange_type="headers")
message = sys.argv[1] if len(sys.argv) > 1 else "Hello World!"
headers = dict(pair.split("=", 1) for pair in sys.argv[2:])
channel.basic_publish(exchange="documents", routing_key="", body=message,
                      properties=pika.BasicProperties(headers=headers))
print(f" [x] Sent {headers}:{message!r}")
connection.close()
