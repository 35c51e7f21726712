"""The way of a newcomer on both APIs, each step a process of its own."""

from __future__ import annotations

import json

import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults


@pytest.fixture
def server():
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        yield server


def variables(server, api):
    """The environment of one API alone, without what the machine may hold."""
    both = server.environ
    key, ids = {
        "v2": ("KOGNITOS_API_KEY", ("KOGNITOS_AGENT_ID", "KOGNITOS_PROCESS_ID")),
        "platform": (
            "KOGNITOS_TOKEN",
            ("KOGNITOS_ORGANIZATION_ID", "KOGNITOS_WORKSPACE_ID", "KOGNITOS_AUTOMATION_ID"),
        ),
    }[api]
    return {name: both[name] for name in (key, *ids, "KOGNITOS_BASE_URL") if name in both}


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.slow
def test_from_help_to_a_listed_run_a_shown_exception_and_an_answer_on_rest_api_v2(command, server):
    environ = variables(server, "v2")
    waits = server.add_run(name="needs a person", status="Exception")
    code, out, _ = command.run("--help", **environ)
    assert code == 0
    for verb in ("processes", "runs", "exceptions"):
        assert f"\n  {verb} " in out
    code, out, _ = command.run("processes", "list", "--json", **environ)
    assert code == 0
    process = lines(out)[0]["id"]
    assert process == server.process.id
    code, out, _ = command.run(
        *("runs", "start", "--process", process, "--name", "first"),
        *("--input", "customer=00042", "--number", "amount=12.5", "--wait", "--json"),
        **environ,
    )
    assert code == 0
    (started,) = lines(out)
    assert started["status"] == "Succeeded"
    assert dict(server.runs[started["id"]].inputs) == {"customer": "00042", "amount": 12.5}
    code, out, _ = command.run("runs", "list", "--process", process, "--json", **environ)
    assert code == 0
    assert {run["id"] for run in lines(out)} == {started["id"], waits.id}
    assert set(lines(out)[0]) == {
        *("id", "name", "agent_id", "process_id", "stage", "status", "created_at", "file_ids", "outputs")
    }
    code, out, _ = command.run("exceptions", "list", "--process", process, "--json", **environ)
    assert (code, [one["run"] for one in lines(out)]) == (0, [waits.id])
    code, out, _ = command.run("exceptions", "show", waits.id, "--json", **environ)
    assert (code, lines(out)[0]["status"]) == (0, "Exception")
    code, out, err = command.run("exceptions", "reply", waits.id, "use 42", **environ)
    assert (code, out) == (2, "")
    assert "open the run in Kognitos" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_from_help_to_a_listed_run_a_shown_exception_and_an_answer_on_the_platform(command, server):
    environ = variables(server, "platform")
    run = server.platform.add_run(state="awaiting_guidance")
    code, out, _ = command.run("automations", "list", "--json", **environ)
    assert code == 0
    (automation,) = lines(out)
    code, out, _ = command.run("automations", "show", automation["id"], "--json", **environ)
    assert (code, lines(out)[0]["display_name"]) == (0, "Process invoice")
    code, out, _ = command.run(
        *("automations", "invoke", automation["id"], "--number", "amount=0.10", "--wait", "--json"),
        **environ,
    )
    assert code == 0
    assert lines(out)[0]["state"] == "completed"
    assert '"amount":0.10' in out, "decimals keep their digits"
    code, out, _ = command.run("runs", "list", "--automation", automation["id"], "--json", **environ)
    assert code == 0
    listed = {one["id"]: one for one in lines(out)}
    assert listed[run.id]["state"] == "awaiting_guidance"
    code, out, _ = command.run("exceptions", "list", "--json", **environ)
    (exception,) = lines(out)
    assert (code, exception["state"]) == (0, "pending")
    assert exception["run"].endswith(run.id)
    code, out, _ = command.run("exceptions", "show", exception["id"], "--json", **environ)
    assert code == 0
    assert lines(out)[0]["said"][0]["by"] == "agent"
    code, out, err = command.run("exceptions", "reply", exception["id"], "use 42", "--json", **environ)
    assert (code, lines(out)[0]["message"]) == (0, "use 42"), err
    code, out, _ = command.run("exceptions", "show", exception["id"], "--json", **environ)
    assert ("user", "use 42") in [(one["by"], one["text"]) for one in lines(out)[0]["said"]]


def test_the_id_of_a_run_stands_for_its_exception(command, server):
    """As `runs list` shows it, to show and to answer; the note after it names the command that waits."""
    environ = variables(server, "platform")
    runs = [server.platform.add_run(state="awaiting_guidance") for _ in range(2)]
    (exception,) = [one for one in server.platform.exceptions.values() if one.run == runs[0].name]
    code, out, err = command.run("exceptions", "show", runs[0].id, "--json", **environ)
    assert (code, lines(out)[0]["id"]) == (0, exception.id), err
    code, out, err = command.run("exceptions", "reply", runs[0].id, "use 42", "--json", **environ)
    assert (code, lines(out)[0]["run"]) == (0, runs[0].name), err
    assert err == f"answer sent; `kognitos runs wait {runs[0].name}` waits for the run\n"
    code, out, err = command.run("exceptions", "show", "nothing", **environ)
    assert (code, out) == (1, "")
    assert "404, Exception nothing was not found" in err


def test_a_file_becomes_an_input_of_the_platform_and_a_file_of_a_run_of_rest_api_v2(
    command, server, tmp_path
):
    path = tmp_path / "invoice.pdf"
    path.write_bytes(b"%PDF")
    code, _, err = command.run(
        *("runs", "start", "--process", server.process.id, "--name", "one", "--file", str(path)),
        **variables(server, "v2"),
    )
    assert code == 0, err
    (run,) = server.runs.values()
    assert [server.files[one].content for one in run.file_ids] == [b"%PDF"]
    automation = server.platform.automation.id
    code, _, err = command.run(
        *("runs", "start", "--automation", automation, "--file", f"invoice={path}"),
        **variables(server, "platform"),
    )
    assert code == 0, err
    assert [file.content for file in server.platform.files.values()] == [b"%PDF"]
    (started,) = server.platform.runs.values()
    assert "invoice" in started.inputs


@pytest.mark.parametrize("api", ["v2", "platform"])
def test_health_and_a_key_that_is_refused(command, server, api):
    environ = variables(server, api)
    assert command.run("health", **environ)[0] == 0
    key = "KOGNITOS_API_KEY" if api == "v2" else "KOGNITOS_TOKEN"
    wrong = "kgn_pat_wrong" if api == "platform" else "wrong"
    code, out, err = command.run("health", **{**environ, key: wrong})
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "401" in err
    assert wrong not in err


@pytest.mark.parametrize("api", ["v2", "platform"])
def test_files_are_uploaded_and_one_that_is_refused_does_not_stop_the_others(command, tmp_path, api):
    good, large = tmp_path / "good.bin", tmp_path / "large.bin"
    good.write_bytes(b"x" * 10)
    large.write_bytes(b"x" * 5000)
    with KognitosServer(max_file_size=1000) as server:
        call = ("files", "upload", str(large), str(good), "--json")
        code, out, err = command.run(*call, **variables(server, api))
    assert code == 1
    (uploaded,) = lines(out)
    assert (uploaded["file_name"], uploaded["size"]) == ("good.bin", 10)
    assert err.startswith(f"kognitos: {large}: ")


@pytest.mark.parametrize("api", ["v2", "platform"])
def test_watched_runs_print_each_change_and_the_last_one_once(command, api):
    with KognitosServer(schedule=Schedule.manual()) as server:
        environ = variables(server, api)
        if api == "v2":
            run, options, member, last = server.add_run(name="one"), (), "status", "Succeeded"
        else:
            run = server.platform.add_run()
            options, member, last = (
                ("--automation", server.platform.automation.id),
                "state",
                "completed",
            )
        watch = command.start("runs", "watch", run.id, *options, "--json", **environ)
        first = watch.stdout.readline()
        if api == "v2":
            server.set_status(run.id, last)
        else:
            server.platform.set_state(run.id, last)
        out, err = watch.communicate(timeout=50)
    assert watch.returncode == 0, err
    seen = [one[member] for one in lines(first + out)]
    assert seen[-1] == last
    assert len(seen) == len(set(seen)) >= 2


def test_a_watch_whose_reader_is_gone_ends_with_its_next_line(command):
    """Though it watches other runs, which may run for hours."""
    with KognitosServer(schedule=Schedule.manual()) as server:
        runs = [server.add_run(name=name) for name in ("one", "two")]
        watch = command.start("runs", "watch", *(run.id for run in runs), **variables(server, "v2"))
        for _ in runs:
            watch.stdout.readline()
        watch.stdout.close()
        server.set_status(runs[0].id, "Succeeded")
        assert watch.wait(timeout=50) == 141


def test_where_both_keys_are_set_the_arguments_decide(command, server):
    environ = {**variables(server, "v2"), **variables(server, "platform")}
    automation = server.platform.automation.id
    for arguments, api in (
        ((), "v2"),
        (("--api", "platform"), "platform"),
    ):
        code, out, _ = command.run("whoami", "--json", *arguments, **environ)
        assert (code, lines(out)[0]["api"]) == (0, api)
    server.platform.add_run(state="completed")
    code, out, _ = command.run("runs", "list", "--automation", automation, "--json", **environ)
    assert (code, lines(out)[0]["state"]) == (0, "completed")


def test_an_option_of_the_other_api_is_a_wrong_use(command, server):
    code, _, err = command.run("runs", "list", "--automation", "a", **variables(server, "v2"))
    assert code == 2
    assert err.startswith("kognitos: --automation: not supported by REST API v2")
    code, _, err = command.run("processes", "list", **variables(server, "platform"))
    assert (code, "kognitos automations list" in err) == (2, True)
    assert server.count() == 0


def test_what_a_server_sends_cannot_steer_the_terminal(command, server):
    server.add_run(name="\x1b[2J\x9b31mred\u202eevil\nnext", status="Succeeded")
    environ = variables(server, "v2")
    for options in ((), ("--json",)):
        code, out, _ = command.run("runs", "list", "--process", server.process.id, *options, **environ)
        assert (code, len(out.splitlines())) == (0, 1)
        assert not any(character in out for character in "\x1b\x9b\u202e")
    body = b'{"status_code": 404, "message": "gone \\u001b]0;title\\u0007 \\u009b2J", "details": null}'
    server.misbehave("get_run", faults.answer(404, body, {"Content-Type": "application/json"}))
    code, _, err = command.run("runs", "show", "x", **environ)
    assert code == 1
    assert "gone" in err
    assert not any(character in err for character in "\x1b\x07\x9b")


@pytest.mark.parametrize("api", ["v2", "platform"])
def test_a_short_list_is_asked_for_in_short_pages(command, server, api):
    """A page of 1,000 runs with large outputs would be refused; not where options leave runs out."""
    if api == "v2":
        for number in range(5):
            server.add_run(name=f"run {number}", status="Succeeded")
        source = ("--process", server.process.id)
    else:
        for _ in range(5):
            server.platform.add_run(state="completed")
        source = ("--automation", server.platform.automation.id)
    environ = variables(server, api)
    sizes = []
    for options in (("--limit", "3"), ("--limit", "3", "--stage", "published"), ("--limit", "0")):
        before = len(server.log)
        code, out, err = command.run("runs", "list", *source, *options, **environ)
        assert (code, len(out.splitlines())) == (0, 5 if options[-1] == "0" else 3), err
        sizes.append(server.log[before].query["limit" if api == "v2" else "page_size"])
    assert sizes == ["3", *2 * ["100" if api == "v2" else "1000"]]


def test_verbose_logs_each_attempt_and_quiet_prints_results_alone(command, server):
    environ = variables(server, "v2")
    server.misbehave("list_runs", faults.unavailable())
    call = ("runs", "list", "--process", server.process.id)
    assert command.run(*call, "-q", **environ) == (0, "", "")
    code, out, err = command.run("-v", *call, **environ)
    assert (code, out) == (0, "")
    assert "GET /runs" in err
    assert server.api_key not in err


def test_where_both_keys_are_set_exceptions_are_those_of_the_platform(command, server):
    waits = server.add_run(status="Exception")
    environ = {**variables(server, "v2"), **variables(server, "platform")}
    assert command.run("exceptions", "list", **environ) == (0, "", "no exceptions on the platform API\n")
    code, out, err = command.run("exceptions", "list", "--api", "v2", "--json", **environ)
    assert (code, [one["run"] for one in lines(out)]) == (0, [waits.id]), err


def test_a_missing_setting_is_named_as_option_and_variable(command, server):
    environ = {**variables(server, "v2"), "KOGNITOS_AGENT_ID": ""}
    assert command.run("processes", "list", **environ) == (
        1,
        "",
        "kognitos: no agent: pass --agent, or set KOGNITOS_AGENT_ID\n",
    )
