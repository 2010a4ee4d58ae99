"""What pika 0.12 still looks for where Python 3.10 has removed it."""

import collections
import collections.abc

collections.Callable = collections.abc.Callable
