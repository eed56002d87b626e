"""The sandbox, which parses and evaluates the expressions of rules in a process that can be killed."""

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
from clipc.compose.rules.messages import OUT_OF_MEMORY, receive, send
from clipc.compose.rules.reasons import brief, explain_reason
from clipc.errors import UserError

_ROWS_AT_ONCE = 200_000
"""The largest number of rows in a message, so that memory stays bounded."""


class Sandbox:
    """Parses and evaluates expressions in a child process, which starts at the first use.

    DuckDB's settings alone do not make untrusted expressions safe, so there are three barriers. Expressions must pass
    an allowlist (:mod:`clipc.compose.rules.grammar`). The child process is killed at a time or memory limit, and
    receives only the columns that it needs. DuckDB runs there without files, network or extensions.

    A sandbox can be pickled and used after a fork; each process starts its own child. Several threads can use it, one
    call at a time. The child ends with :meth:`close`, or when the sandbox is deleted.
    """

    def __init__(self, seconds: float = 60.0, memory: int = 2 << 30) -> None:
        """Sets the limits, without starting the child.

        Args:
            seconds: The time limit of one request; a request has at most 200,000 rows.
            memory: The memory in bytes that data and evaluation may take in the child.
        """
        self._limits = (seconds, memory)
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        # The child keeps the columns ``_sent`` of ``_table``.
        self._table: pa.Table | None = None
        self._sent: set[str] = set()

    def _own_lock(self) -> threading.RLock:
        """The lock of the child. After a fork, it is a new lock, and the parent's child and lock are left alone."""
        if self._owner != os.getpid():
            self._reset()
        return self._lock

    def __reduce__(self) -> tuple[type["Sandbox"], tuple[float, int]]:
        return Sandbox, self._limits

    def __del__(self) -> None:
        if hasattr(self, "_owner"):
            self.close()

    def close(self) -> None:
        """Ends the child; a later call starts a new one."""
        with self._own_lock():
            child, self._child, self._table = self._child, None, None
            if child is not None:
                child.kill()
                for pipe in filter(None, (child.stdin, child.stdout)):
                    with suppress(OSError):  # a message that was not sent remains in the buffer
                        pipe.close()
                child.wait()

    def parse(self, text: str) -> Expression:
        """The checked expression that a text stands for.

        Raises:
            UserError: The text is not one scalar expression that :mod:`clipc.compose.rules.grammar` allows.
        """
        check_text(text)
        answer, _ = self._ask({"do": "parse", "text": text}, None, text)
        return Expression.of(text, answer["statement"])

    def evaluate(self, table: pa.Table, expressions: Mapping[str, Expression]) -> pa.Table:
        """The values of expressions over the columns of a table, for each of its rows.

        Args:
            table: A table of n rows; only the columns in use are sent.
            expressions: The expressions by the name of their column in the result.

        Returns:
            A table of n rows with a column for each expression.

        Raises:
            UserError: A column does not exist, or an expression fails on a value, takes too long or too much memory.
        """
        if not expressions:
            return table.select([])
        names, trees = _internal_names(table, expressions, sides=False)
        columns = {inner: table[column.name] for column, inner in names.items()}
        # A table without columns has no row count, so there is always the column "rows".
        sent = _decode_dictionaries(pa.table({"rows": pa.nulls(table.num_rows, pa.bool_())} | columns))
        return self._evaluate_rows({"do": "evaluate", "trees": trees}, sent, names, expressions)

    def evaluate_pairs(
        self, table: pa.Table, a: Integers, b: Integers, expressions: Mapping[str, Expression]
    ) -> pa.Table:
        """The values of expressions over two rows of a table, such as ``a.x = b.x``, for m combinations of rows.

        The child keeps the columns for later calls with the same table (the same object), which then send positions
        only.

        Args:
            table: A table of n rows.
            a: The row that ``a`` stands for in each combination, shape (m,), in [0, n).
            b: The row that ``b`` stands for in each combination, shape (m,), in [0, n).
            expressions: The expressions by the name of their column in the result.

        Returns:
            A table of m rows with a column for each expression.

        Raises:
            UserError: As :meth:`evaluate`.
        """
        positions = pa.table({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64())})
        if not expressions:
            return positions.select([])
        names, trees = _internal_names(table, expressions, sides=True)
        sources = {inner: (column.side, column.name) for column, inner in names.items()}
        header = {"do": "pairs", "trees": trees, "columns": sources}
        with self._own_lock():
            self._send_columns(table, {column.name for column in names}, expressions)
            return self._evaluate_rows(header, positions, names, expressions)

    def _send_columns(self, table: pa.Table, columns: set[str], expressions: Mapping[str, Expression]) -> None:
        """Sends the columns of the table that the child does not have yet."""
        new_table = self._table is not table
        missing = sorted(columns if new_table else columns - self._sent)
        if new_table or missing:
            texts = _all_texts(expressions)
            self._table = None
            for i, name in enumerate(missing or [None]):  # a request without a column only discards the old table
                column = None if name is None else _decode_dictionaries(table.select([name]))
                self._ask({"do": "keep", "discard_kept": new_table and not i}, column, texts)
            self._table, self._sent = table, (set() if new_table else self._sent) | columns

    def _evaluate_rows(
        self, header: dict[str, Any], table: pa.Table, names: dict[Column, str], expressions: Mapping[str, Expression]
    ) -> pa.Table:
        """The results for all rows, sent in blocks; an empty table is sent too, to learn the types of the result."""
        results: list[pa.Table] = []
        with self._own_lock():
            for start in range(0, max(table.num_rows, 1), _ROWS_AT_ONCE):
                answer, result = self._ask(header, table.slice(start, _ROWS_AT_ONCE), _all_texts(expressions))
                if result is None:
                    reason = explain_reason(answer["reason"])
                    for column, inner in names.items():
                        reason = reason.replace(f'"{inner}"', str(column)).replace(inner, str(column))
                    text = list(expressions.values())[int(answer["failed"].removeprefix("result"))].text
                    raise UserError(f"`{brief(text)}` cannot be evaluated: {reason}.")
                results.append(result)
        return pa.concat_tables(results).rename_columns(list(expressions))

    def _ask(
        self, header: dict[str, Any], table: pa.Table | None, texts: str
    ) -> tuple[dict[str, Any], pa.Table | None]:
        """Sends a request and returns the answer.

        Raises:
            UserError: The child took too long, or ended before its answer.
        """
        with self._own_lock():
            child = self._running_child()
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
                if late.is_set():
                    what = f"took longer than {self._limits[0]:g} seconds and was stopped"
                elif child.returncode == OUT_OF_MEMORY:
                    what = "took too much memory and was stopped"
                else:
                    what = f"ended its process (exit code {child.returncode}), probably by taking too much memory"
                raise UserError(f"`{brief(texts)}` {what}; simplify it.") from None
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

    def _running_child(self) -> subprocess.Popen[bytes]:
        """The child of this process; starts it if there is none."""
        child = self._child
        if child is None:
            seconds, memory = self._limits
            # With -P and this environment, neither the working folder nor the user's variables decide what is imported;
            # PYTHONPATH is the import path of this process.
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
    """The import path of this process, without the folder of the script and the working folder."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    own = {Path(script).resolve().parent} if script else set[Path]()
    with suppress(FileNotFoundError):  # the working folder may have been deleted
        own.add(Path.cwd())
    others = [place for place in sys.path if os.path.isabs(place) and Path(place).resolve() not in own]
    return list(dict.fromkeys([str(Path(__file__).parents[3]), *others]))


def _internal_names(
    table: pa.Table, expressions: Mapping[str, Expression], sides: bool
) -> tuple[dict[Column, str], dict[str, str]]:
    """The internal name of each column, and the tree of each expression with these names, by an internal name.

    DuckDB never sees a user's name, so it cannot misinterpret one.
    """
    resolved = [expression.resolve_columns(table.column_names, sides) for expression in expressions.values()]
    columns = sorted({column for expression in resolved for column in expression.columns})
    names = {column: f"column{i}_" for i, column in enumerate(columns)}
    trees = {f"result{i}": e.rename_columns(lambda column: [names[column]]).tree for i, e in enumerate(resolved)}
    return names, trees


def _all_texts(expressions: Mapping[str, Expression]) -> str:
    """The texts of all expressions of a call, for errors that concern no single one."""
    return " and ".join(dict.fromkeys(expression.text for expression in expressions.values()))


def _decode_dictionaries(table: pa.Table) -> pa.Table:
    """Decodes dictionary columns, because DuckDB would compare them as enums."""
    kernels: Any = pyarrow.compute  # made at run time, which type checkers cannot see
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, kernels.cast(table[i], field.type.value_type))
    return table
