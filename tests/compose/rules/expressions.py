"""A table, and the values of an expression on it, for tests of the sandbox."""

import pyarrow as pa

from clipc.compose.rules.sandbox import Sandbox

TABLE = pa.table(
    {
        "x": ["left", "Right", None, ""],
        "n": pa.array([1, 2, None, -3], pa.int64()),
        "r": [0.5, None, 2.0, -1.25],
        "day": pa.array([None, 0, 19000, 20000], pa.date32()),
        "Finding Site": ["lung", None, "rib", "lung"],
        "部位": ["肺", "肋骨", None, "肺"],
        'say "hi"': [True, False, None, True],
    }
)


def column(sandbox: Sandbox, text: str, table: pa.Table = TABLE) -> list[object]:
    return sandbox.evaluate(table, {"k": sandbox.parse(text)})["k"].to_pylist()
