"""Two `kognitos runs export` to one file at a time."""

from __future__ import annotations

import csv
import time

from kognitos_async.testing import KognitosServer, Schedule, faults


def test_the_second_export_to_a_file_is_refused_and_the_first_is_not_disturbed(command, tmp_path):
    """In one line, whatever the first is doing; the file holds every run once."""
    with KognitosServer(schedule=Schedule.manual()) as server:
        for number in range(350):
            server.add_run(name=f"run {number}", status="Succeeded")
        output = tmp_path / "runs.csv"
        call = ("runs", "export", "--process", server.process.id, "--output", str(output))
        server.misbehave("list_runs", faults.delay(3), skip=1)
        first = command.start(*call, **server.environ)
        while server.count("list_runs") < 2:
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.02)
        code, out, err = command.run(*call, **server.environ)
        assert (code, out) == (1, "")
        assert err == f"kognitos: {output}.pages is in use by another export: wait for it, or end it\n"
        assert first.poll() is None
        assert first.communicate(timeout=50)[1] == "kognitos: 350 runs written\n"
        assert first.returncode == 0
        with output.open(newline="", encoding="utf-8") as file:
            assert sorted(row["id"] for row in csv.DictReader(file)) == sorted(server.runs)
        assert list(tmp_path.iterdir()) == [output]
