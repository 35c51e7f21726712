"""Registration of commands: the shared options and the `Call` that each command receives."""

from __future__ import annotations

import inspect
import logging
import sys
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.cli.output import Output
from kognitos_async.cli.running import reported_errors
from kognitos_async.cli.target import PLATFORM, Target, resolve

if TYPE_CHECKING:
    from collections.abc import Callable


class ApiName(StrEnum):
    """Name of an API."""

    V2 = "v2"
    PLATFORM = "platform"


Json = Annotated[bool | None, typer.Option("--json", help="Print one JSON object per line.")]
Quiet = Annotated[
    bool | None, typer.Option("--quiet", "-q", help="Print results and errors only, no notes or progress.")
]
Verbose = Annotated[bool | None, typer.Option("--verbose", "-v", help="Log each request to stderr.")]
Profile = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Profile of the configuration file (env: KOGNITOS_PROFILE)."),
]
Api = Annotated[ApiName | None, typer.Option(help="API to use; by default the one that the key belongs to.")]
Proxy = Annotated[str | None, typer.Option(metavar="URL", help="HTTP proxy (env: HTTPS_PROXY, NO_PROXY).")]
Agent = Annotated[str | None, typer.Option(metavar="ID", help="Agent, REST API v2 (env: KOGNITOS_AGENT_ID).")]
Organization = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Organization, platform API (env: KOGNITOS_ORGANIZATION_ID)."),
]
Workspace = Annotated[
    str | None, typer.Option(metavar="ID", help="Workspace, platform API (env: KOGNITOS_WORKSPACE_ID).")
]
Process = Annotated[
    str | None, typer.Option(metavar="ID", help="Process, REST API v2 (env: KOGNITOS_PROCESS_ID).")
]
Automation = Annotated[
    str | None, typer.Option(metavar="ID", help="Automation, platform API (env: KOGNITOS_AUTOMATION_ID).")
]


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options; None for those not given."""

    agent: str | None = None
    organization: str | None = None
    workspace: str | None = None
    profile: str | None = None
    api: str | None = None
    proxy: str | None = None
    json: bool | None = None
    quiet: bool | None = None
    verbose: bool | None = None

    def over(self, earlier: Options) -> Options:
        """These options, with those not given taken from `earlier`."""
        return Options(
            **{
                option.name: getattr(earlier, option.name)
                if getattr(self, option.name) is None
                else getattr(self, option.name)
                for option in fields(self)
            }
        )


OUTPUT_OPTIONS: dict[str, Any] = {"json": Json, "quiet": Quiet, "verbose": Verbose}
API_OPTIONS: dict[str, Any] = {
    "agent": Agent,
    "organization": Organization,
    "workspace": Workspace,
    "profile": Profile,
    "api": Api,
    "proxy": Proxy,
}


class Call:
    """The shared options of one invocation: its output and its target."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.output: Output = Output(as_json=bool(options.json), quiet=bool(options.quiet))
        self._meant: str | None = None

    @cached_property
    def target(self) -> Target:
        """The API and its settings. Raises `ConfigurationError`."""
        return resolve(self.options, meant=self._meant)

    def means(self, api: str) -> None:
        """Record the API that the arguments imply; it decides when both keys are set."""
        self._meant = self._meant or api

    def source(self, process: str | None, automation: str | None) -> str:
        """The process or automation to use. Raises `typer.BadParameter`."""
        self._mean_source(process, automation)
        return self.target.source(process, automation)

    def given_source(self, process: str | None, automation: str | None) -> str | None:
        """The process or automation given as an option, or None. Raises `typer.BadParameter`."""
        self._mean_source(process, automation)
        return self.target.given_source(process, automation)

    def _mean_source(self, process: str | None, automation: str | None) -> None:
        if automation is not None and process is None:
            self.means(PLATFORM)

    def names(self, *resources: str, automation: str | None = None) -> None:
        """Record the arguments: full resource names and an automation imply the platform API."""
        if automation is not None or any("/" in name for name in resources):
            self.means(PLATFORM)


def command(
    group: typer.Typer, name: str | None = None, *, api: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function, whose first parameter is a `Call`, as a command of `group`.

    Adds the shared options, without those of an API if `api` is false. Errors are reported as by
    `reported_errors`.
    """
    shared = {**(API_OPTIONS if api else {}), **OUTPUT_OPTIONS}

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def invoke(ctx: typer.Context, **given: Any) -> None:
            options = Options(**{option: given.pop(option) for option in shared})
            if isinstance(ctx.find_root().obj, Options):
                options = options.over(ctx.find_root().obj)
            _log(verbose=bool(options.verbose))
            with reported_errors():
                function(Call(options), **given)

        parameters = [
            inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            *(
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=None)
                for option, kind in shared.items()
            ),
        ]
        invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
        invoke.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        invoke.__name__ = function.__name__
        invoke.__doc__ = function.__doc__
        group.command(name)(invoke)
        return function

    return register


def command_group(help: str) -> typer.Typer:
    """A group of commands that prints its help when called without one."""
    group = typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None, add_completion=False)

    @group.callback()
    def _group() -> None:
        """Keep a group of one command a group."""

    _group.__doc__ = help
    return group


def _log(*, verbose: bool) -> None:
    """Log the library to stderr if `verbose`, else discard: without a handler Python prints warnings."""
    logger = logging.getLogger("kognitos_async")
    if not verbose:
        logger.addHandler(logging.NullHandler())
        return
    if sys.stderr is not None and not any(isinstance(one, _StderrHandler) for one in logger.handlers):
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """The command's own handler; a type of its own, unlike those of a program that embeds the command."""
