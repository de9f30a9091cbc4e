"""Reads what a tree of processes costs from /proc: processor time and memory."""

import os
import signal
import time

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat behind the name, which may hold spaces; None once the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def tree(root):
    """The pids of a process and all its descendants, the root first."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _stat(name)):
            children.setdefault(int(stat[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _ticks(pid):
    """User and system time of a process and of those of its children that it has waited for."""
    stat = _stat(pid)
    return sum(map(int, stat[11:15])) if stat else 0


def cpu_us(root):
    """User and system time of a tree, its ended processes included, in microseconds."""
    return sum(map(_ticks, tree(root))) * TICK_US


def _pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def memory_kib(root):
    """The proportional set size of a tree, and that of its worker: the process that has worked most."""
    pids = tree(root)
    return sum(map(_pss_kib, pids)), _pss_kib(max(pids, key=_ticks))


def stop(process, patience=10):
    """Ends a server that was started here, and whatever it leaves behind; returns when all are gone."""
    # A pid alone could have been given to somebody else by the time it is killed.
    born = {pid: stat[19] for pid in tree(process.pid) if (stat := _stat(pid))}
    process.terminate()
    try:
        process.wait(patience)
    except Exception:
        process.kill()
        process.wait()
    for pid, start in born.items():
        if (stat := _stat(pid)) and stat[19] == start and stat[0] != "Z":
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    end = time.monotonic() + patience
    while any((stat := _stat(pid)) and stat[19] == start and stat[0] != "Z" for pid, start in born.items()):
        if time.monotonic() > end:
            raise SystemExit(f"processes {sorted(born)} do not end")
        time.sleep(0.01)
