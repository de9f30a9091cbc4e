"""The harness itself: a server that starts, answers and leaves."""


def test_a_server_starts_answers_and_leaves(serve):
    server = serve("hello:app", "-w", "2")
    assert server.get().body == b"Hello, world!\n"
    assert len(server.wait_workers(2)) == 2
    assert server.stop() == 0
