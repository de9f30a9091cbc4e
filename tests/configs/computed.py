"""Settings out of a class, and of a module that lies beside the file."""
from dataclasses import asdict, dataclass, field

from deployment import TOWN, cores


@dataclass
class Options:
    workers: int = 2
    threads: int = 2
    proc_name: str = f"shop in {TOWN}"
    bind: list = field(default_factory=lambda: ["127.0.0.1:8000"])
    raw_env: list = field(default_factory=lambda: [f"TOWN={TOWN}"])


def limits():
    return {"max_requests": 100 * cores(), "timeout": 60}


globals().update(asdict(Options()), **limits())
