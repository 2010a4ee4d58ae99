"""Sends one message to the queue `hello`."""

import os

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host='localhost', port=int(os.environ.get('AMQP_PORT', 5672))))
channel = connection.channel()

channel.queue_declare(queue='hello')

channel.basic_publish(exchange='',
                      routing_key='hello',
                      body='Hello World!')
print(" [x] Sent 'Hello World!'")
connection.close()
