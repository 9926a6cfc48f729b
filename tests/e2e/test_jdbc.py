"""The Flight SQL JDBC driver from Maven Central."""

import os
import subprocess
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from conftest import FLIGHTS, ROOT


def test_the_stock_jdbc_driver(flights_server):
    cache = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream"))
    done = subprocess.run(
        ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", str(cache / "jdbc/driver.jar"),
         str(ROOT / "tests/e2e/jdbc/JdbcCheck.java"), flights_server.grpc, "useEncryption=false"],
        capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    source = pq.read_table(FLIGHTS)
    assert done.stdout.splitlines() == [
        "product Millstream",
        "table flights",
        f"columns {source.num_columns}",
        f"late {source.filter(pc.greater(source['dep_delay'], 60)).num_rows}",
        f"ua {source.filter(pc.equal(source['carrier'], 'UA')).num_rows}",
        "error true",
        "inserted 3 1",
        f"late {source.filter(pc.greater(source['dep_delay'], 60)).num_rows}",
        "password refused",
    ]
