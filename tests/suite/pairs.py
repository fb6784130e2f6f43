"""Cells on two hands, and ways to interrupt them."""

from suite.data import open_source
from suite.plan import Request, make_cells


def pair_cells(home, data, method, seeds=(0,), **overrides):
    """The cells of a request; a double underscore in a key stands for a dot."""
    settings = {key.replace("__", "."): str(value) for key, value in overrides.items()}
    request = Request(method, "two_hands", data=data, overrides=settings, seeds=seeds)
    return make_cells(request, open_source(home, "interhand26m", data))


def dying_after(count, function):
    """The function, which works so often and then is killed."""
    left = [count]

    def call(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return function(*arguments)

    return call


def counting(calls, function):
    """The function, which notes its last argument at every call."""

    def call(*arguments):
        calls.append(arguments[-1])
        return function(*arguments)

    return call
