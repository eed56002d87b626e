"""The sandbox: expressions of rules are parsed and evaluated in a process that can be killed."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from clipc.compose.arrays import Integers
from clipc.compose.rules.expression import Column, Expression
from clipc.compose.rules.grammar import check_text
from clipc.compose.rules.messages import receive, send
from clipc.compose.rules.reasons import brief, sentence
from clipc.errors import UserError

_ROWS = 200_000
"""Rows per message, which bounds memory."""


class Sandbox:
    """A child process that receives only the columns it needs; started at the first use.

    DuckDB's settings alone do not make untrusted expressions safe, so they are the third barrier: expressions pass
    an allowlist (:mod:`clipc.compose.rules.grammar`), run in this process, which ends at a time or memory limit,
    and only then meet a DuckDB without files, network, extensions and settings.

    A sandbox can be pickled and used after a fork: each process starts a child of its own. It can be used by several
    threads, one call at a time. :meth:`close` ends the child, and so does the end of the object.
    """

    def __init__(self, seconds: float = 60.0, memory: int = 2 << 30) -> None:
        """Sets the limits, without starting the child.

        Args:
            seconds: The time limit of one request, which has at most 200,000 rows.
            memory: The most bytes of memory that data and evaluation may take in the child.
        """
        self._limits = (seconds, memory)
        self._start_anew()

    def _start_anew(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        self._table: pa.Table | None = None  # whose columns the child has ...
        self._sent: set[str] = set()  # ... and which

    def _mine(self) -> threading.RLock:
        """The lock under which the child is used; after a fork, the parent's child and lock are left alone."""
        if self._owner != os.getpid():
            self._start_anew()
        return self._lock

    def __reduce__(self) -> tuple[type["Sandbox"], tuple[float, int]]:
        return Sandbox, self._limits

    def __del__(self) -> None:
        if hasattr(self, "_owner"):
            self.close()

    def close(self) -> None:
        """Ends the child; a later call starts a new one."""
        with self._mine():
            child, self._child, self._table = self._child, None, None
            if child is not None:
                child.kill()
                for pipe in filter(None, (child.stdin, child.stdout)):
                    with suppress(OSError):  # an unsent message remains in the buffer
                        pipe.close()
                child.wait()

    def parse(self, text: str) -> Expression:
        """The checked expression of a text.

        Raises:
            UserError: It is not one scalar expression that :mod:`clipc.compose.rules.grammar` allows.
        """
        check_text(text)
        answer, _ = self._ask({"do": "parse", "text": text}, None, text)
        return Expression.of(text, answer["statement"])

    def evaluate(self, table: pa.Table, expressions: Mapping[str, Expression]) -> pa.Table:
        """Expressions over one pair, for each row of a table.

        Args:
            table: One row a pair; only the columns in use are sent.
            expressions: By the name of the result's column.

        Returns:
            A table with a column for each expression and the rows of ``table`` in their order.

        Raises:
            UserError: A column does not exist, or an expression fails on a value, takes too long or too much memory.
        """
        if not expressions:
            return table.select([])
        names, trees = _named(table, expressions, sides=False)
        columns = {inner: table[column.name] for column, inner in names.items()}
        sent = _plain(pa.table({"rows": pa.nulls(table.num_rows, pa.bool_())} | columns))
        return self._evaluated({"do": "evaluate", "trees": trees}, sent, names, expressions)

    def evaluate_pairs(
        self, table: pa.Table, a: Integers, b: Integers, expressions: Mapping[str, Expression]
    ) -> pa.Table:
        """Expressions over two pairs, for rows of a table taken by position.

        The columns that are used stay in the child for later calls with the same table (the same object), so that
        only positions are sent.

        Args:
            table: One row a pair.
            a: The rows of the first pairs, shape (m,), in [0, n).
            b: The rows of the second pairs, shape (m,), in [0, n).
            expressions: By the name of the result's column.

        Returns:
            A table of m rows with a column for each expression.

        Raises:
            UserError: As :meth:`evaluate`.
        """
        positions = pa.table({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64())})
        if not expressions:
            return positions.select([])
        names, trees = _named(table, expressions, sides=True)
        where = {inner: (column.side, column.name) for column, inner in names.items()}
        header = {"do": "pairs", "trees": trees, "columns": where}
        with self._mine():
            self._send_columns(table, {column.name for column in names}, expressions)
            return self._evaluated(header, positions, names, expressions)

    def _send_columns(self, table: pa.Table, columns: set[str], expressions: Mapping[str, Expression]) -> None:
        """Sends the child those columns of the table that it does not have yet."""
        fresh = self._table is not table
        missing = sorted(columns if fresh else columns - self._sent)
        if fresh or missing:
            texts = _texts(expressions)
            self._table = None
            for i, name in enumerate(missing or [None]):
                column = None if name is None else _plain(table.select([name]))
                self._ask({"do": "keep", "fresh": fresh and not i}, column, texts)
            self._table, self._sent = table, (set() if fresh else self._sent) | columns

    def _evaluated(
        self, header: dict[str, Any], table: pa.Table, names: dict[Column, str], expressions: Mapping[str, Expression]
    ) -> pa.Table:
        """The results for all rows, sent in several messages; an empty table is one message, to have types."""
        results: list[pa.Table] = []
        with self._mine():
            for start in range(0, max(table.num_rows, 1), _ROWS):
                answer, result = self._ask(header, table.slice(start, _ROWS), _texts(expressions))
                if result is None:
                    reason = sentence(answer["reason"])
                    for column, inner in names.items():
                        reason = reason.replace(f'"{inner}"', str(column)).replace(inner, str(column))
                    text = list(expressions.values())[int(answer["failed"].removeprefix("result"))].text
                    raise UserError(f"`{brief(text)}` cannot be evaluated: {reason}.")
                results.append(result)
        return pa.concat_tables(results).rename_columns(list(expressions))

    def _ask(
        self, header: dict[str, Any], table: pa.Table | None, texts: str
    ) -> tuple[dict[str, Any], pa.Table | None]:
        """Sends a request and receives the answer; a late or dead child is reported as the expressions' error."""
        with self._mine():
            child = self._living()
            late = threading.Event()
            watchdog = threading.Timer(self._limits[0], lambda: (late.set(), child.kill()))
            watchdog.daemon = True
            watchdog.start()
            try:
                assert child.stdin is not None
                assert child.stdout is not None
                send(child.stdin, header, table)
                answer, result = receive(child.stdout)
            except (EOFError, OSError):
                self.close()
                limit = f"took longer than {self._limits[0]:g} seconds" if late.is_set() else "took too much memory"
                raise UserError(f"`{brief(texts)}` {limit} and was stopped; simplify it.") from None
            except BaseException:
                self.close()
                raise
            finally:
                watchdog.cancel()
        if "user_error" in answer:
            raise UserError(answer["user_error"])
        if "bug" in answer:
            raise RuntimeError(f"the sandbox failed on `{brief(texts)}`:\n{answer['bug']}")
        return answer, result

    def _living(self) -> subprocess.Popen[bytes]:
        """This process's child, started if there is none."""
        child = self._child
        if child is None:
            seconds, memory = self._limits
            # -P and an own environment: neither the working folder nor variables decide what is imported, while
            # PYTHONPATH has this process's own import path.
            child = subprocess.Popen(
                [sys.executable, "-B", "-P", "-m", "clipc.compose.rules.child", str(seconds), str(memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=os.sep,
                env={"PYTHONPATH": os.pathsep.join(_import_path()), "ARROW_DEFAULT_MEMORY_POOL": "system"},
            )
            assert child.stdout is not None
            try:
                receive(child.stdout)
            except EOFError:
                raise RuntimeError(f"the rules' sandbox does not start (exit code {child.wait()})") from None
            self._child = child
        return child


def _import_path() -> list[str]:
    """This process's import path, without the script's and the working folder."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    own = {Path(script).resolve().parent} if script else set[Path]()
    with suppress(FileNotFoundError):  # a working folder may be gone
        own.add(Path.cwd())
    others = [place for place in sys.path if os.path.isabs(place) and Path(place).resolve() not in own]
    return list(dict.fromkeys([str(Path(__file__).parents[3]), *others]))


def _named(
    table: pa.Table, expressions: Mapping[str, Expression], sides: bool
) -> tuple[dict[Column, str], dict[str, str]]:
    """An internal name for each column and each expression, and the trees with those names.

    No user's name reaches DuckDB, so none can be misinterpreted.
    """
    resolved = [expression.check_columns(table.column_names, sides) for expression in expressions.values()]
    columns = sorted({column for expression in resolved for column in expression.columns})
    names = {column: f"column{i}_" for i, column in enumerate(columns)}
    trees = {f"result{i}": e.renamed(lambda column: [names[column]]).tree for i, e in enumerate(resolved)}
    return names, trees


def _texts(expressions: Mapping[str, Expression]) -> str:
    """All expressions of a call, for errors that cannot tell which of them it was."""
    return " and ".join(dict.fromkeys(expression.text for expression in expressions.values()))


def _plain(table: pa.Table) -> pa.Table:
    """Decodes dictionary columns, which DuckDB would compare as enums."""
    kernels: Any = pyarrow.compute  # made at run time, which type checkers cannot see
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, kernels.cast(table[i], field.type.value_type))
    return table
