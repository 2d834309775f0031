"""The gateway: one thread that owns all client sockets, and whose work never waits."""

from .gateway import Gateway as Gateway
from .session import CallHandler as CallHandler
from .session import Session as Session
from .stream import Channel as Channel
from .stream import Stream as Stream
