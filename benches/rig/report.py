"""Puts samples into tables of Markdown: the median of each figure, and how far the rounds lay apart."""

from statistics import median

HEAD = ["server", "CPU µs/request", "(least–most)", "of hyper", "of Granian", "requests/s", "p50 ms", "p99 ms"]
HEAD += ["worker PSS MiB", "all PSS MiB"]


def table(samples):
    """A table of one round; `samples` maps servers to what they reached, in the order of the rows."""
    cpu = {server.name: median(sample.cpu for sample in taken) for server, taken in samples.items()}
    rows = [HEAD, ["---"] + ["---:"] * (len(HEAD) - 1)]
    for server, taken in samples.items():
        own = [sample.cpu for sample in taken]
        rows.append(
            [
                server.title,
                f"**{cpu[server.name]:.1f}**",
                f"{min(own):.1f}–{max(own):.1f}",
                _ratio(cpu, server, "hyper"),
                _ratio(cpu, server, "granian"),
                f"{median(sample.rate for sample in taken):,.0f}",
                f"{median(sample.p50 for sample in taken) / 1000:.2f}",
                f"{median(sample.p99 for sample in taken) / 1000:.2f}",
                f"{median(sample.worker for sample in taken) / 1024:.1f}",
                f"{median(sample.memory for sample in taken) / 1024:.1f}",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def notes(samples, name):
    """What a reader of the table of that round must know."""
    lines = [f"{server.title}: {note}" for server in samples for about, note in server.notes if about in ("", name)]
    for server, taken in samples.items():
        if failed := sum(sample.failed for sample in taken):
            lines.append(f"{server.title}: {failed} requests failed or were not answered with success.")
    return "\n".join(f"- {line}" for line in lines)


def _ratio(cpu, server, other):
    return f"{cpu[server.name] / cpu[other]:.2f}" if other in cpu and cpu[other] else "–"
