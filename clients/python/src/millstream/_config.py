"""The parameters of a consumer. Names, defaults and ranges are those of docs/delivery.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _tls
from ._transport import DEFAULT_URL
from .errors import InvalidInput

DEFAULTS: dict[str, Any] = {
    "url": DEFAULT_URL,
    "namespace": "public",
    "user": None,
    "password": None,
    "token": None,
    **_tls.DEFAULTS,
    "group.id": None,
    "client.id": "",
    "auto.offset.reset": "latest",
    "enable.auto.commit": True,
    "auto.commit.interval.ms": 5000,
    "session.timeout.ms": 12000,
    "max.poll.interval.ms": 300000,
    "min.poll.rows": 1,
    "max.poll.rows": 65536,
    "fetch.max.bytes": 16 << 20,
    "group.mode": "shared",
    "replay": False,
    "compression": "none",
    "reconnect.interval.ms": 100,
    "reconnect.max.interval.ms": 10000,
    "reconnect.count": 40,
}

_RANGES = {
    "auto.commit.interval.ms": (0, 2**31),
    "session.timeout.ms": (6000, 1800000),
    "max.poll.interval.ms": (1000, 2**31),
    "min.poll.rows": (1, 2**31),
    "max.poll.rows": (1, 2**31),
    "fetch.max.bytes": (1 << 16, 1 << 30),
    "reconnect.interval.ms": (1, 2**31),
    "reconnect.max.interval.ms": (1, 2**31),
    "reconnect.count": (0, 2**31),
}
_CHOICES = {
    "auto.offset.reset": ("earliest", "latest", "none"),
    "group.mode": ("shared", "broadcast"),
    "compression": ("none", "lz4_frame", "zstd"),
}
_BOOLEANS = {"enable.auto.commit", "replay"}


def read(config: Mapping[str, Any]) -> dict[str, Any]:
    """Checks a configuration and fills in the defaults. Numbers and booleans may come as text."""
    unknown = sorted(set(config) - set(DEFAULTS))
    if unknown:
        raise InvalidInput(f"unknown keys {unknown}; known are {sorted(DEFAULTS)}", "invalid_input")
    settings = {**DEFAULTS, **config}
    group = settings["group.id"]
    if not group or len(str(group).encode()) > 192:
        raise InvalidInput("group.id is required, 1 to 192 bytes", "invalid_input")
    if len(str(settings["client.id"]).encode()) > 255:
        raise InvalidInput("client.id has more than 255 bytes", "invalid_input")
    for key, (low, high) in _RANGES.items():
        settings[key] = _number(key, settings[key], low, high)
    for key, choices in _CHOICES.items():
        if settings[key] not in choices:
            raise InvalidInput(f"{key} is {settings[key]!r}, not one of {', '.join(choices)}", "invalid_input")
    for key in _BOOLEANS:
        settings[key] = _boolean(key, settings[key])
    return settings


def _number(key: str, value: Any, low: int, high: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{key} is {value!r}, not a number", "invalid_input") from None
    if not low <= number <= high:
        raise InvalidInput(f"{key} is {number}, outside {low} to {high}", "invalid_input")
    return number


def _boolean(key: str, value: Any) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in known:
        raise InvalidInput(f"{key} is {value!r}, not true or false", "invalid_input")
    return known[str(value).lower()]
