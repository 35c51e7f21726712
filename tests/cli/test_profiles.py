"""Where settings come from: profiles, their file's mode, the environment; the key is never shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kognitos_async.cli.profiles import profiles_path
from kognitos_async.testing import KognitosServer

BLANK = dict.fromkeys(
    (
        *("KOGNITOS_API_KEY", "KOGNITOS_TOKEN", "KOGNITOS_BASE_URL", "KOGNITOS_REGION", "KOGNITOS_PROFILE"),
        *("KOGNITOS_AGENT_ID", "KOGNITOS_ORGANIZATION_ID", "KOGNITOS_WORKSPACE_ID", "KOGNITOS_PROCESS_ID"),
        "KOGNITOS_AUTOMATION_ID",
    ),
    "",
)


@pytest.fixture
def profiles(tmp_path):
    """Writes the configuration file and gives the environment that leads to it."""

    def profiles(text: str, mode: int = 0o600, **environ: str) -> dict[str, str]:
        path = tmp_path / "kognitos" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return {**BLANK, "XDG_CONFIG_HOME": str(tmp_path), **environ}

    return profiles


TWO = """
default = "old"
[profiles.old]
api_key = "secret-old"
agent_id = "agent-7"
region = "eu"
[profiles.new]
token = "kgn_pat_secret"
organization_id = "o"
workspace_id = "w"
proxy = "http://user:hidden@proxy.example:8080"
"""


def whoami(command, *options, **environ):
    code, out, err = command.run("whoami", "--json", *options, **environ)
    assert code == 0, err
    assert "secret" not in out + err
    assert "hidden" not in out + err
    return json.loads(out)


def test_the_default_profile_one_by_option_and_one_by_variable(command, profiles):
    environ = profiles(TWO)
    default = whoami(command, **environ)
    assert (default["api"], default["profile"], default["key_from"]) == ("v2", "old", "profile old")
    assert default["base_url"] == "https://rest-api.eu.kognitos.com/v2"
    assert default["agent_id"] == "agent-7"
    chosen = whoami(command, "--profile", "new", **environ)
    assert (chosen["api"], chosen["organization_id"]) == ("platform", "o")
    assert chosen["proxy"] == "http://***@proxy.example:8080"
    assert whoami(command, **{**environ, "KOGNITOS_PROFILE": "new"})["profile"] == "new"


def test_a_key_in_the_environment_comes_before_the_default_profile(command, profiles):
    found = whoami(command, **profiles(TWO, KOGNITOS_API_KEY="secret-environment"))
    assert (found["profile"], found["key_from"]) == (None, "KOGNITOS_API_KEY")


def test_the_key_of_a_profile_never_goes_to_the_address_of_the_environment(command, profiles):
    with KognitosServer() as server:
        environ = profiles(TWO, KOGNITOS_BASE_URL=server.base_url, KOGNITOS_API_KEY=server.api_key)
        found = whoami(command, "--profile", "old", **environ)
    assert found["base_url"] == "https://rest-api.eu.kognitos.com/v2"


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_with_keys_that_others_can_read_is_refused(command, profiles, mode):
    code, out, err = command.run("whoami", **profiles(TWO, mode))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert f"(mode {mode:04o})" in err
    assert "chmod 600" in err
    assert "secret" not in err


def test_a_file_without_keys_may_be_read_by_all(command, profiles):
    environ = profiles('[profiles.eu]\nregion = "eu"\n', 0o644, KOGNITOS_API_KEY="secret")
    assert whoami(command, "--profile", "eu", **environ)["key_from"] == "KOGNITOS_API_KEY"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[profiles.a]\napi_kee = "secret"\n', "did you mean api_key?"),
        ("[profiles.a]\napi_key = 3\n", "api_key of profile 'a' must be a non-empty string"),
        ('[profiles.a]\napi_key = "secret\n', "is not valid TOML: line 2"),
        ('default = "b"\n[profiles.a]\napi_key = "secret"\n', "`default` must name a profile of the file"),
        ('[profiles.a]\napi_key = "secret"\ntoken = "kgn_pat_secret"\n', "has both api_key and token"),
        ('[a]\napi_key = "secret"\n', "tables [profiles.NAME]"),
    ],
)
def test_a_file_that_cannot_be_right_is_one_line_without_its_secrets(command, profiles, text, message):
    code, out, err = command.run("whoami", **profiles(text))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert message in err
    assert "secret" not in err


def test_an_unknown_profile_says_which_there_are(command, profiles):
    code, _, err = command.run("whoami", "--profile", "nwe", **profiles(TWO))
    assert code == 1
    assert "only new, old" in err


def test_without_any_key_it_says_what_to_set(command, profiles):
    code, _, err = command.run("runs", "list", "--process", "p", **profiles(""))
    assert code == 1
    assert all(word in err for word in ("KOGNITOS_API_KEY", "KOGNITOS_TOKEN", "--profile"))


@pytest.mark.parametrize(
    ("platform", "environ", "path"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/x"}, Path("/x/kognitos/config.toml")),
        ("linux", {"XDG_CONFIG_HOME": "relative"}, Path.home() / ".config/kognitos/config.toml"),
        ("linux", {}, Path.home() / ".config/kognitos/config.toml"),
        ("darwin", {}, Path.home() / "Library/Application Support/kognitos/config.toml"),
        ("win32", {"APPDATA": "/roaming"}, Path("/roaming/kognitos/config.toml")),
        ("linux", {"KOGNITOS_CONFIG": "/one.toml"}, Path("/one.toml")),
    ],
)
def test_the_configuration_folder_of_each_system(platform, environ, path):
    assert profiles_path(environ, platform) == path
