"""Failures: why, how often, and whether trying again can help."""

from suite.failures import root_cause, write_failure


def test_a_failure_keeps_the_reason_at_the_bottom_and_the_last_log_lines(tmp_path):
    class WrapperError(Exception):
        def __init__(self, inner):
            super().__init__("a worker failed")
            self.worker_failures = {0: inner}

    failure = write_failure(tmp_path, WrapperError(MemoryError("out of\nmemory")))
    assert failure["reason"] == "out of memory"
    assert failure["kind"] == "MemoryError"
    assert failure["log"][-1].endswith("a worker failed")


def test_the_root_cause_of_a_plain_error_is_itself():
    error = ValueError("x")
    assert root_cause(error) is error
