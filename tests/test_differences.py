"""What only Ferricorn does is told to whoever migrates: the marks of the tests against the list in docs/migrating.md."""

import ast
from pathlib import Path

from harness.contract import BEHAVIOUR, cases

TESTS = Path(__file__).parent
TOLD = cases(TESTS / "contract" / "behaviour.txt")
# Those that stand for uvicorn.
OTHERS = ("test_asgi", "test_asyncio", "test_websocket")


def marks(path):
    """The reasons of a file's marks, as they are written; None for one that has none."""
    tree = list(ast.walk(ast.parse(path.read_text())))
    calls = [node for node in tree if isinstance(node, ast.Call) and is_mark(node.func)]
    # A name for the mark with its reason needs no other one.
    known = {node.targets[0].id for node in tree if isinstance(node, ast.Assign) and node.value in calls}
    for call in calls:
        [reason] = call.args
        yield reason.value if isinstance(reason, ast.Constant) else ast.unparse(reason)
    for function in (node for node in tree if isinstance(node, ast.FunctionDef)):
        if any(is_mark(one) and getattr(one, "id", "") not in known for one in function.decorator_list):
            yield None


def is_mark(node):
    return "only_ferricorn" in (getattr(node, "attr", ""), getattr(node, "id", ""))


def all_marks():
    files = [path for path in sorted(TESTS.glob("test_*.py")) if not path.name.startswith(OTHERS)]
    return [(path.name, reason) for path in files for reason in marks(path)]


def test_each_mark_says_why():
    assert not [file for file, reason in all_marks() if reason is None]


def test_each_difference_that_is_marked_is_told_or_concerns_nobody():
    found = {f"{file}: {reason}" for file, reason in all_marks() if reason}
    new, old = sorted(found - set(TOLD)), sorted(set(TOLD) - found)
    assert not new, f"tests/contract/behaviour.txt has no line for {new}"
    assert not old, f"tests/contract/behaviour.txt has lines for marks that are gone: {old}"
    rows = {told for told in TOLD.values() if not told.startswith("- ")}
    assert rows <= set(BEHAVIOUR), sorted(rows - set(BEHAVIOUR))
    assert set(BEHAVIOUR) <= rows, f"no test stands behind {sorted(set(BEHAVIOUR) - rows)}"
