"""Brokers for the tests: put the `test` folder on sys.path, then
`from support.broker import Leveret` and `from support.rabbitmq import RabbitMQ`."""
