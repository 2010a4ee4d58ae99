"""Work queue: works on one task after the other; start as many as you like.

A task is acknowledged when it is done. If this program dies before, another one gets the task.
"""

import os
import time

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.queue_declare(queue="work")


def callback(ch, method, properties, body):
    print(f" [x] Received {body.decode()!r}")
    time.sleep(body.count(b"."))
    print(" [x] Done")
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_consume(queue="work", on_message_callback=callback)
print(" [*] Waiting for messages. To exit press CTRL+C")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
