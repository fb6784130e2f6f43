"""The stand-in ``relay`` as a plug-in."""

from tests.suite.standins import RELAY as SPEC

__all__ = ["SPEC"]
