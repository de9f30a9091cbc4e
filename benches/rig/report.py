"""Puts samples into tables of Markdown: the median of each figure, and how far the rounds lay apart."""

from statistics import median

#: What a server is set against, by name, and how the column is called.
COMPARED = {
    "WSGI": {"hyper": "of hyper", "granian": "of Granian"},
    "ASGI": {"hyper": "of hyper", "uvicorn": "of uvicorn", "granian": "of Granian"},
    "Threads": {"ferricorn-1": "of 1 thread", "granian-16": "of Granian", "gthread-16": "of gthread"},
    "gevent": {"gunicorn-gevent": "of gunicorn"},
    "Settings": {"plain": "of plain", "gthread-plain": "of plain gthread"},
}


def table(samples, compared, task):
    """A table of one round; `samples` maps servers to what they reached, in the order of the rows."""
    unit = task.unit
    if not samples:
        return "No server came through."
    cpu = {server.name: median(sample.cpu for sample in taken) for server, taken in samples.items()}
    p99 = {server.name: median(sample.p99 for sample in taken) for server, taken in samples.items()}
    compared = {name: title for name, title in compared.items() if name not in task.without}
    extra = _extra(samples, task, p99)
    head = ["server", f"CPU µs/{unit}", "(least–most)", *compared.values(), f"{unit}s per CPU s", f"{unit}s/s"]
    head += ["p50 ms", "p99 ms", *extra, "worker PSS MiB", "all PSS MiB"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for server, taken in samples.items():
        own = [sample.cpu for sample in taken]
        rows.append(
            [
                server.title,
                f"**{cpu[server.name]:.1f}**",
                f"{min(own):.1f}–{max(own):.1f}",
                *(_ratio(cpu, server, other) for other in compared),
                f"{1e6 / cpu[server.name]:,.0f}",
                f"{median(sample.rate for sample in taken):,.0f}",
                f"{median(sample.p50 for sample in taken) / 1000:.2f}",
                f"{p99[server.name] / 1000:.2f}",
                *(figures[server.name] for figures in extra.values()),
                f"{median(sample.worker for sample in taken) / 1024:.1f}",
                f"{median(sample.memory for sample in taken) / 1024:.1f}",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def notes(samples, faults, name):
    """What a reader of the table of that round must know."""
    lines = [f"{server.title}: {note}" for server in samples for about, note in server.notes if about in ("", name)]
    for server, taken in samples.items():
        if failed := sum(sample.failed for sample in taken):
            lines.append(f"{server.title}: {failed} requests failed or were not answered with success.")
    lines += [f"Left out: {' '.join(fault.split())[:300]}" for fault in faults.values()]
    return "\n".join(f"- {line}" for line in lines)


def _extra(samples, task, p99):
    """The columns that only this round has: by their heads, the figure of each server."""
    columns = {}
    if task.limit:
        columns[f"of {task.limit:,}/s"] = {
            server.name: f"{median(sample.rate for sample in taken) / task.limit:.1%}" for server, taken in samples.items()
        }
    if task.pace:
        columns[f"p99 of {task.pace}"] = {server.name: _ratio(p99, server, task.pace) for server in samples}
    if task.client[0] == "crowd":
        columns["last after s"] = {
            server.name: f"{median(sample.lasted for sample in taken) / 1e6:.2f}" for server, taken in samples.items()
        }
    return columns


def _ratio(figures, server, other):
    return f"{figures[server.name] / figures[other]:.2f}" if figures.get(other) else "–"
