"""A queue of calls: a thread makes them and hands each result, or what went wrong, to a callback."""

import queue
import threading
import time

calls = queue.Queue()


def async_call(function, callback, *args, **kwargs):
    calls.put((function, callback, args, kwargs))


def make_calls():
    while True:
        function, callback, args, kwargs = calls.get()
        try:
            result = function(*args, **kwargs)
        except Exception as error:      # the callback is told, and the next call is made
            result = error
        try:
            callback(result)
        finally:
            calls.task_done()


def add(a, b):
    return a + b


def nothing():
    pass


def three(a, b, c):
    return a, b, c


def handle_result(result):
    time.sleep(0.5)
    print(type(result).__name__, result)


if __name__ == "__main__":
    threading.Thread(target=make_calls, daemon=True).start()
    async_call(add, handle_result, 1, 2)
    async_call(nothing, handle_result)
    async_call(three, handle_result, 1, 2, 3)
    async_call(three, handle_result, 1, 2, 3, 4)
    calls.join()
