"""Fills fuzz/corpus with seeds: those of fuzz/seeds, and gunicorn's request corpora, fetched from PyPI."""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CORPORA = "gunicorn==27.0.1"
SHA256 = "b1514965361c8b7e8107a80aa2a92636878df1ccfac6dd204a676426e04d9e3e"

ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([rnt0\\]))")
LETTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def decode(text: bytes) -> bytes:
    """What a line of a seed file, or a file of the corpora without its line ends, stands for."""
    return ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else LETTERS[found[2]], text)


def keep(target: str, seed: bytes) -> None:
    """A seed's name is its hash, as libFuzzer names what it finds."""
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def own() -> None:
    for file in sorted((HERE / "seeds").glob("*.txt")):
        for line in file.read_bytes().splitlines():
            if line and not line.startswith(b"# "):
                keep(file.stem, decode(line))


def fetched() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{CORPORA} --hash=sha256:{SHA256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "--require-hashes", "-d", folder, "-r", wanted], check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as files:
            for member in files:
                if re.search(r"/tests/requests/(in)?valid/[^/]+\.http$", member.name):
                    seed = decode(files.extractfile(member).read().replace(b"\n", b""))
                    keep("gate", seed)
                    if "/pp_" in member.name:
                        keep("proxy", seed)


def main() -> None:
    own()
    try:
        fetched()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"gunicorn's corpora could not be fetched ({error}); going on without them", file=sys.stderr)


if __name__ == "__main__":
    main()
