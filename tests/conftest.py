"""What all tests share."""

from __future__ import annotations

import re


def pytest_make_parametrize_id(config, val, argname):
    """Name a case alike in every process: without the addresses in what objects say of themselves."""
    text = repr(val)
    short = re.sub(r" at 0x[0-9a-f]+", "", text)
    return short if short != text else None
