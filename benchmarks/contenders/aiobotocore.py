"""aiobotocore: steps of an EMR cluster with its paginator and waiter, an upload to S3."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

CLUSTER = "j-1"
CONNECTIONS = 100
"""Connections, as in this library; the default of 10 would dominate the measurement."""


class Contender:
    """The EMR and S3 clients."""

    def __init__(self, emr: Any, s3: Any) -> None:
        self._emr = emr
        self._s3 = s3

    async def get(self, run_id: str) -> object:
        return await self._emr.describe_step(ClusterId=CLUSTER, StepId=run_id)

    async def history(self, process_id: str, after_page: None) -> int:  # noqa: ARG002 - as the others
        count = 0
        async for page in self._emr.get_paginator("list_steps").paginate(ClusterId=CLUSTER):
            for step in page["Steps"]:
                count += step["Status"]["Timeline"]["CreationDateTime"] is not None
        return count

    async def wait(self, run_id: str) -> None:
        await self._emr.get_waiter("step_complete").wait(
            ClusterId=CLUSTER, StepId=run_id, WaiterConfig={"Delay": 1, "MaxAttempts": 100}
        )

    async def upload(self, path: Path) -> None:
        with path.open("rb") as file:
            await self._s3.put_object(Bucket="bucket", Key=path.name, Body=file)


@asynccontextmanager
async def opened(base_url: str, agent_id: str) -> AsyncGenerator[Contender]:  # noqa: ARG001 - as the others
    settings: dict[str, Any] = {
        "region_name": "us-east-1",
        "endpoint_url": base_url,
        "aws_access_key_id": "test-key",
        "aws_secret_access_key": "test-secret",
        "config": AioConfig(max_pool_connections=CONNECTIONS, s3={"addressing_style": "path"}),
    }
    async with AsyncExitStack() as stack:
        session = get_session()
        emr = await stack.enter_async_context(session.create_client("emr", **settings))
        s3 = await stack.enter_async_context(session.create_client("s3", **settings))
        yield Contender(emr, s3)
