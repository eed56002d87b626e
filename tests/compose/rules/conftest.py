"""The sandbox that the tests of a module share."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from clipc.compose.rules.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with closing(Sandbox(seconds=10)) as sandbox:
        sandbox.parse("1")
        yield sandbox
