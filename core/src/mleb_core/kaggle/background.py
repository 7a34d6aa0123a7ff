"""Several downloads at a time while their results are worked on."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["in_background"]

Item = TypeVar("Item")


def in_background(
    items: Sequence[Item], work: Callable[[Item], None], *, at_a_time: int
) -> Iterator[tuple[Item, Exception | None]]:
    """Do `work` on each item in threads, and give each item as soon as it is done.

    Work goes on while the caller deals with what it was given, but at most `at_a_time` items ahead of it: a caller
    that turns downloads into prepared data is not drowned in downloads. The threads end with the process: an
    interrupted caller waits for none of them.

    Args:
        items: what to work on, in this order.
        work: called from several threads.
        at_a_time: the number of threads.

    Returns:
        Pairs of an item and what `work` raised, None where it raised nothing.
    """
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Item, Exception | None]] = queue.SimpleQueue()
    for item in items:
        todo.put(item)
    free = threading.Semaphore(2 * at_a_time)
    left = threading.Event()

    def run() -> None:
        while True:
            free.acquire()
            try:
                item = todo.get_nowait()
            except queue.Empty:
                free.release()
                return
            if left.is_set():
                return
            try:
                work(item)
            except Exception as error:
                done.put((item, error))
            else:
                done.put((item, None))

    def results() -> Iterator[tuple[Item, Exception | None]]:
        try:
            for _ in items:
                yield done.get()
                free.release()
        finally:
            left.set()
            free.release(2 * at_a_time)

    for _ in range(min(at_a_time, len(items))):  # now, not when the first result is asked for
        threading.Thread(target=run, daemon=True).start()
    return results()
