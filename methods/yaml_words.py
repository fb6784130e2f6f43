"""YAML whose ``on``, ``off``, ``yes`` and ``no`` are words, as in YAML 1.2; only ``true`` and ``false`` are not."""

import re
from typing import Any

import yaml

BOOLEAN = "tag:yaml.org,2002:bool"
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""In C, where PyYAML was built with it."""


class _Loader(_Safe):
    yaml_implicit_resolvers = {  # noqa: RUF012 - the class attribute that PyYAML reads
        first: [(tag, pattern) for tag, pattern in resolvers if tag != BOOLEAN]
        for first, resolvers in _Safe.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)
