"""What the import of an app leaves behind that does not live through a fork, or must not be shared by those forked."""

import gc
import os
import sys


def look():
    """What descriptors stand for now, to be compared with later."""
    return set(_descriptors().values())


def leftovers(before):
    """What is to be warned of, in words, and how many threads there are that Python knows nothing of."""
    threads, foreign = _threads()
    kinds = [("threads, which do not run in workers", threads), ("connections, which all workers would share", _peers(before)),
             ("event loops that are not closed, which all workers would share", _loops())]
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds if names), foreign


def _descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # That of the listing itself.
    return found


def _threads():
    tasks = len(os.listdir("/proc/self/task"))
    threading = sys.modules.get("threading")
    if threading is None:
        return [], tasks - 1
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    native = {thread.native_id for thread in others if getattr(thread, "native_id", None)}
    return [thread.name for thread in others], max(tasks - 1 - len(native - {os.getpid()}), 0)


def _peers(before):
    import _socket

    timeout = _socket.getdefaulttimeout()
    # Else a descriptor that is looked at would not block any more.
    _socket.setdefaulttimeout(None)
    try:
        return [peer for number, what in _descriptors().items()
                if what.startswith("socket:") and what not in before and (peer := _peer(_socket, number))]
    finally:
        _socket.setdefaulttimeout(timeout)


def _peer(_socket, number):
    """Where a socket leads to; nothing if it is not connected, or is one of a pair within this process."""
    try:
        looked_at = _socket.socket(fileno=number)
    except OSError:
        return None
    try:
        peer = looked_at.getpeername()
    except OSError:
        return None
    finally:
        looked_at.detach()
    if isinstance(peer, tuple):
        return f"{peer[0]}:{peer[1]}" if len(peer) > 1 else None
    return os.fsdecode(peer).replace("\0", "@", 1)


def _loops():
    events = sys.modules.get("asyncio.events")
    if events is None:
        return []
    # By type, for an object may say anything of its class.
    loops = [one for one in gc.get_objects() if issubclass(type(one), events.AbstractEventLoop)]
    return [repr(loop) for loop in loops if not loop.is_closed()]
