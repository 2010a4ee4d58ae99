"""Remote procedure calls: asks for a Fibonacci number and waits for the answer.

    rpc_client.py 30
"""

import os
import sys
import uuid

import pika


class FibonacciClient:
    def __init__(self):
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(
            host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
        self.channel = self.connection.channel()
        self.callback_queue = self.channel.queue_declare(queue="", exclusive=True).method.queue
        self.channel.basic_consume(queue=self.callback_queue, auto_ack=True,
                                   on_message_callback=self.on_response)
        self.response = None
        self.correlation_id = None

    def on_response(self, ch, method, properties, body):
        if properties.correlation_id == self.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="", routing_key="rpc_queue", body=str(n),
            properties=pika.BasicProperties(reply_to=self.callback_queue,
                                            correlation_id=self.correlation_id))
        while self.response is None:
            self.connection.process_data_events(time_limit=None)
        return int(self.response)


n = int(sys.argv[1]) if len(sys.argv) > 1 else 30
fibonacci = FibonacciClient()
print(f" [x] Requesting fib({n})")
print(f" [.] Got {fibonacci.call(n)}")
fibonacci.connection.close()
