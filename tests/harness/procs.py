"""What /proc says of other processes."""

import os
import time
from pathlib import Path


def _stat(pid):
    """The fields of /proc/PID/stat behind the command name, or None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _all():
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(name)
            if fields is not None:
                yield int(name), fields


def alive(pid):
    """Whether the process exists and is not a zombie."""
    fields = _stat(pid)
    return fields is not None and fields[0] != "Z"


def gone(pid):
    """Whether the process has left the table, so that somebody has reaped it too."""
    return _stat(pid) is None


def children(pid):
    """The living children of a process, oldest first."""
    return sorted(child for child, fields in _all() if fields[0] != "Z" and int(fields[1]) == pid)


def title(pid):
    """What ps shows of a process; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def in_session(pid):
    """Every process, living or zombie, in the session that the process leads."""
    return sorted(member for member, fields in _all() if int(fields[3]) == pid)


def threads(pid):
    """How many threads a process has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rests(pid):
    """Whether a process uses hardly any processor time for a second. To wait for: what has just ended is tidied up first."""
    before = cpu_seconds(pid)
    time.sleep(1)
    return cpu_seconds(pid) - before <= 0.05


def sleeps(pid):
    """How often the threads of a process have gone to sleep of their own accord so far: each wake-up ends in one."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        status = Path(f"/proc/{pid}/task/{task}/status").read_text()
        total += int(status.partition("voluntary_ctxt_switches:")[2].split()[0])
    return total


def _sockets(port):
    """State and inode of each TCP socket with this local port: a listener's state is 0A, and one that no process has is 0."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for _, local, _, state, *_, inode in (line.split()[:10] for line in lines):
            if int(local.rpartition(":")[2], 16) == port:
                yield state, int(inode)


def listeners(port):
    """The inodes of the sockets that listen on a TCP port of any address: no two sockets ever have the same."""
    return {inode for state, inode in _sockets(port) if state == "0A"}


def connections(port):
    """How many connections of a TCP port some process has open, at the server's end."""
    return sum(inode != 0 for state, inode in _sockets(port) if state != "0A")


def descriptors(pid):
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _rollup(pid, key):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/smaps_rollup has no {key}")


def anonymous_kib(pid):
    """The memory of a process that no file backs, in KiB. Unlike the proportional set it is nobody else's doing."""
    return _rollup(pid, "Anonymous")
