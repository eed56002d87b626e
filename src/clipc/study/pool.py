"""A pool of worker processes that are imported once, stop together, and report progress."""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from types import FrameType
from typing import Any, Final, TypeVar

import torch

from clipc.errors import UserError
from clipc.progress import Progress
from clipc.train.interrupt import Interrupted, stop_signals

Result = TypeVar("Result")

TASK_MODULES: Final = ("clipc.study.trials", "sklearn.linear_model")
"""Modules that import all libraries that tasks need; the linear probe imports the second one only when it is used."""


class Pool:
    """Worker processes that import the libraries once and then run one task after the other."""

    def __init__(self, jobs: int, threads: int) -> None:
        """Starts the processes, and waits until each has imported the libraries.

        Args:
            jobs: The number of processes.
            threads: CPU threads of each process.
        """
        # Workers are forked from a server process that has only imported modules. Forking this process would not be
        # safe, since it may have threads and use a GPU.
        if "forkserver" in get_all_start_methods():
            self._context: BaseContext = get_context("forkserver")
            self._context.set_forkserver_preload(list(TASK_MODULES))
            from multiprocessing.forkserver import ensure_running  # Fails to import without fork servers.

            with _ignore_signal(signal.SIGTERM):
                ensure_running()
        else:
            self._context = get_context("spawn")
        # A plain flag in shared memory, because setting an Event hangs if a process that waited for it was killed.
        self._stop = self._context.RawValue("b", 0)
        self._messages: Any = self._context.SimpleQueue()
        with _set_environment(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads)):
            self._executor = ProcessPoolExecutor(
                jobs, self._context, initializer=_init_worker, initargs=(self._stop, self._messages, threads)
            )
            # One task for each process makes it start, and import the libraries, while the variables are set.
            wait([self._executor.submit(_import_tasks) for _ in range(jobs)])

    def map(
        self, task: Callable[..., Result], arguments: Sequence[tuple[Any, ...]], progress: Progress
    ) -> list[Result]:
        """Runs ``task(*arguments[i], progress)`` for every i, and returns the results in this order.

        Args:
            task: A module-level function; its last argument is a :data:`~clipc.progress.Progress`.
            arguments: One tuple for each call.
            progress: Called in this process with ``(str(i), done, total)`` as call i reports its progress.

        Raises:
            UserError: A task raised it, or a worker process died.
            Interrupted: On Ctrl-C or SIGTERM; running tasks have saved a checkpoint.
        """
        errors: list[Exception] = []
        listener = threading.Thread(target=self._listen, args=(progress, errors), daemon=True)
        listener.start()
        with stop_signals() as flag:
            futures = [self._executor.submit(_call, i, task, args) for i, args in enumerate(arguments)]
            try:
                self._wait(futures, lambda: flag.requested)
                results = [future.result() for future in futures]
            except BrokenProcessPool as error:
                raise UserError(
                    "a worker process died (out of memory?); the same command resumes from there, "
                    "perhaps with fewer --jobs."
                ) from error
            except BaseException:
                # Tasks that have not begun end at once. They are not cancelled: if a worker dies, an executor with
                # cancelled tasks fails at the first of them, and the other futures never finish.
                self._stop.value = 1
                wait(futures)
                raise
            finally:
                self._messages.put(None)
                listener.join()
            if errors:
                raise errors[0]
            return results

    def _wait(self, futures: list[Future[Result]], should_stop: Callable[[], bool]) -> None:
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if should_stop():
                raise Interrupted("stopped; the same command resumes from there.")

    def _listen(self, progress: Progress, errors: list[Exception]) -> None:
        while (message := self._messages.get()) is not None:
            if errors:
                continue  # Tasks that report progress block until the message is read.
            try:
                progress(*message)
            except Exception as error:
                errors.append(error)

    def close(self) -> None:
        """Ends the processes."""
        self._stop.value = 1
        self._executor.shutdown(cancel_futures=True)


@contextmanager
def _ignore_signal(number: signal.Signals) -> Generator[None]:
    """Processes that the block starts ignore a signal: a scheduler sends it to the fork server as well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def _set_environment(**variables: str) -> Generator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# The state of a worker, set once by _init_worker.
_send: Callable[[tuple[str, int, int]], None]
_should_stop: Callable[[], bool]
_busy = threading.Event()


def _init_worker(stop: Any, messages: Any, threads: int) -> None:
    """Prepares a worker process: number of threads, channel for progress, and reaction to signals."""
    global _send, _should_stop
    torch.set_num_threads(threads)
    _send, _should_stop = messages.put, lambda: bool(stop.value)
    parent = parent_process()
    assert parent is not None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides.
    signal.signal(signal.SIGTERM, _interrupt)

    def watch() -> None:
        while not stop.value and parent.is_alive():
            time.sleep(0.2)
        signal.raise_signal(signal.SIGTERM)
        while parent.is_alive() or _busy.is_set():
            time.sleep(0.2)
        os._exit(1)  # The parent is gone, so nobody can receive a result.

    threading.Thread(target=watch, daemon=True).start()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Ends the running task; during training another handler is active, which saves a checkpoint first."""
    if _busy.is_set():
        raise Interrupted("stopped.")


def _import_tasks() -> None:
    """Imports the libraries that tasks need, so that no task's time includes it."""
    for name in TASK_MODULES:
        import_module(name)


def _call(index: int, task: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    def progress(what: str, done: int, total: int) -> None:
        _send((str(index), done, total))

    _busy.set()
    try:
        if _should_stop():
            raise Interrupted("stopped.")
        return task(*arguments, progress)
    finally:
        _busy.clear()
