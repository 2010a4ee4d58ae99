"""Sends a log line under its severity: an error and an information."""

import os

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host='localhost', port=int(os.environ.get('AMQP_PORT', 5672))))
channel = connection.channel()

channel.exchange_declare(exchange='direct_logs',
                         exchange_type='direct')

messages = {
    'error': 'this is error',
    'info': 'hello',
}

for severity, message in messages.items():
    channel.basic_publish(exchange='direct_logs',
                          routing_key=severity,
                          body=message)
    print(" [x] Sent %r:%r" % (severity, message))
connection.close()
