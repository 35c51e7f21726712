"""An HTTP server on loopback that behaves as the Kognitos APIs do, for tests of programs that use them.

Names are loaded on first access: pytest imports this package in every run, and most runs need no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kognitos_async.testing import faults
    from kognitos_async.testing.fault_kinds import Fault
    from kognitos_async.testing.fault_queue import FaultHandle
    from kognitos_async.testing.platform_v1.control import EmulatedPlatform
    from kognitos_async.testing.platform_v1.files import EmulatedFile
    from kognitos_async.testing.platform_v1.model import (
        EmulatedAutomation,
        EmulatedEvent,
        EmulatedException,
        EmulatedPlatformRun,
    )
    from kognitos_async.testing.remote import ServerControl
    from kognitos_async.testing.request_log import SeenRequest
    from kognitos_async.testing.rest_v2.file_store import StoredFile
    from kognitos_async.testing.rest_v2.world import EmulatedProcess, EmulatedRun
    from kognitos_async.testing.schedule import Schedule
    from kognitos_async.testing.server import KognitosServer

__all__ = [
    "EmulatedAutomation",
    "EmulatedEvent",
    "EmulatedException",
    "EmulatedFile",
    "EmulatedPlatform",
    "EmulatedPlatformRun",
    "EmulatedProcess",
    "EmulatedRun",
    "Fault",
    "FaultHandle",
    "KognitosServer",
    "Schedule",
    "SeenRequest",
    "ServerControl",
    "StoredFile",
    "faults",
]

_HOMES = {
    "EmulatedAutomation": "platform_v1.model",
    "EmulatedEvent": "platform_v1.model",
    "EmulatedException": "platform_v1.model",
    "EmulatedFile": "platform_v1.files",
    "EmulatedPlatform": "platform_v1.control",
    "EmulatedPlatformRun": "platform_v1.model",
    "EmulatedProcess": "rest_v2.world",
    "EmulatedRun": "rest_v2.world",
    "Fault": "fault_kinds",
    "FaultHandle": "fault_queue",
    "KognitosServer": "server",
    "Schedule": "schedule",
    "SeenRequest": "request_log",
    "ServerControl": "remote",
    "StoredFile": "rest_v2.file_store",
}


def __getattr__(name: str) -> Any:
    if name == "faults":
        return import_module("kognitos_async.testing.faults")
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"kognitos_async.testing.{_HOMES[name]}"), name)
