"""The stand-in ``nudge`` as a plug-in."""

from tests.suite.standins import NUDGE as SPEC

__all__ = ["SPEC"]
