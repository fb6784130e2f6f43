"""The errors a user can cause. They are sentences, and the command line prints them without a traceback."""

import difflib
from collections.abc import Iterable


class RequestError(Exception):
    """The request was wrong: an unknown name, a bad value, a missing or damaged file.

    The message is one line that says what was wrong, what was expected and what to do. The command line prints
    it and exits with 2 (or with 1 where work had already begun).
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> RequestError:
    """The error for a name that is not in a closed list, with the nearest valid name."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}."
    return RequestError(f"unknown {kind} '{name}': {hint}")
