"""The sandbox's child process: it only parses and evaluates expressions.

:class:`clipc.compose.rules.sandbox.Sandbox` starts it as ``python -m clipc.compose.rules.child SECONDS BYTES``. It
answers :mod:`messages <clipc.compose.rules.messages>` and ends when its standard input closes.
"""

import json
import os
import signal
import sys
import traceback
from typing import Any, Final

import duckdb
import pyarrow as pa

from clipc.compose.rules.grammar import Node
from clipc.compose.rules.messages import OUT_OF_MEMORY, Message, receive, send
from clipc.compose.rules.reasons import TOKENS
from clipc.compose.rules.words import tokens_of
from clipc.errors import UserError

_SERIALISE: Final = "SELECT json_serialize_sql(?::VARCHAR)"
_DESERIALISE: Final = "SELECT json_deserialize_sql(?::JSON)"


class Engine:
    """DuckDB with no file or network access and a locked configuration; keeps the columns of earlier requests."""

    def __init__(self, memory: int) -> None:
        self._kept_columns: dict[str, Any] = {}
        self._failure: UserError | None = None
        self._connection = duckdb.connect(
            config={
                "allow_community_extensions": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "enable_external_access": "false",
                "memory_limit": f"{memory // 2}B",
                "python_enable_replacements": "false",
                "temp_directory": "",
                "threads": "1",
            }
        )
        self._connection.create_function(TOKENS, self._tokens, ["VARCHAR"], "VARCHAR", type="arrow")  # pyright: ignore
        self._connection.execute("SET lock_configuration = true")
        self._statement: Node = json.loads(self._text(_SERIALISE, "SELECT NULL FROM entries"))

    def answer(self, header: dict[str, Any], table: pa.Table | None) -> Message:
        """Answers one request, whose kind is ``header["do"]``.

        ``parse`` returns DuckDB's syntax tree of the text of an expression, unchecked.
        ``keep`` stores the columns of ``table`` for later requests; it may discard the stored ones first.
        ``evaluate`` returns the values of expressions for each row of ``table``.
        ``pairs`` returns the values of expressions over two stored rows; ``table`` holds the positions of a and b.
        """
        match header["do"]:
            case "parse":
                return {"statement": self._text(_SERIALISE, f"SELECT {header['text']}")}, None
            case "keep":
                if header["discard_kept"]:
                    self._kept_columns.clear()
                for name, column in zip(table.column_names, table.columns, strict=True) if table else ():
                    self._kept_columns[name] = column.combine_chunks()
                return {}, None
            case "evaluate":
                return {}, self._evaluate(table, header["trees"])
            case "pairs":
                positions: Any = table
                gathered = {
                    name: self._kept_columns[column].take(positions[side].combine_chunks())
                    for name, (side, column) in header["columns"].items()
                }
                return {}, self._evaluate(pa.table({"rows": positions["a"]} | gathered), header["trees"])
            case other:
                raise AssertionError(other)

    def _text(self, query: str, value: str) -> str:
        rows: Any = self._connection.execute(query, [value]).fetchall()
        return rows[0][0]

    def _evaluate(self, table: Any, trees: dict[str, str]) -> pa.Table:
        self._failure = None
        self._connection.register("entries", table)
        try:
            return self._select(trees)
        except duckdb.Error as error:
            if self._failure:
                raise self._failure from None
            if isinstance(error, duckdb.OutOfMemoryException):
                raise MemoryError from None
            raise _Failed(self._find_failing(trees), str(error)) from None
        finally:
            self._connection.unregister("entries")

    def _select(self, trees: dict[str, str]) -> pa.Table:
        select_list = [json.loads(tree) | {"alias": name} for name, tree in trees.items()]
        node: Node = self._statement["statements"][0]["node"] | {"select_list": select_list}
        statement = json.dumps(self._statement | {"statements": [{"node": node, "named_param_map": []}]})
        return self._connection.sql(self._text(_DESERIALISE, statement)).to_arrow_table()

    def _find_failing(self, trees: dict[str, str]) -> str:
        """The name of the expression that fails, among those that were evaluated together."""
        for name, tree in trees.items():
            try:
                self._select({name: tree})
            except duckdb.Error:
                return name
        return next(iter(trees))

    def _tokens(self, texts: Any) -> Any:
        try:
            return tokens_of(texts)
        except UserError as error:
            self._failure = error
            raise


class _Failed(Exception):
    """An expression cannot be evaluated; the arguments are its name and DuckDB's reason."""


def main(seconds: float, memory: int) -> None:
    """Answers requests until standard input closes.

    Args:
        seconds: The parent's time limit of one request.
        memory: The memory limit in bytes.
    """
    # What a library prints must not mix with the messages.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.environ.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is left to the parent
    engine = Engine(memory)
    _limit(memory)
    send(answers, {})  # tells the parent that the child is ready; only then is a request sent and timed
    while True:
        try:
            header, table = receive(requests)
        except EOFError:
            return
        if hasattr(signal, "alarm"):
            signal.alarm(int(seconds) + 5)  # stops a long evaluation if the parent has died
        try:
            answer, result = engine.answer(header, table)
        except _Failed as failed:
            answer, result = {"failed": failed.args[0], "reason": failed.args[1]}, None
        except UserError as error:
            answer, result = {"user_error": str(error)}, None
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception:
            answer, result = {"bug": traceback.format_exc()}, None
        send(answers, answer, result)
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _limit(memory: int) -> None:
    """Forbids core dumps, writing to files, and more than ``memory`` bytes of address space beyond those in use now."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    except (OSError, ValueError):
        pass  # the platform has no such limit; DuckDB's own limit remains


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
