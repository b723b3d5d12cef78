"""Key budgets of LiteLLM's proxy without its database: run by the Python of its own venv, named in its configuration.

The key says its own budget in dollars: ``sk-<anything>-<dollars>``. LiteLLM then holds and counts for it as for a key
from its database (``custom_auth_run_common_checks``). What it charges for each call goes to the file
``$BENCH_LITELLM_SPEND``: without a database nothing else tells.
"""

import os
from pathlib import Path

from fastapi import Request  # type: ignore[import-not-found,unused-ignore]
from litellm.integrations.custom_logger import CustomLogger  # type: ignore[import-not-found,unused-ignore]
from litellm.proxy._types import UserAPIKeyAuth  # type: ignore[import-not-found,unused-ignore]


async def authenticate(request: Request, api_key: str) -> UserAPIKeyAuth:
    return UserAPIKeyAuth(api_key=api_key, max_budget=float(api_key.rpartition("-")[2]))


class Spend(CustomLogger):  # type: ignore[misc,unused-ignore]
    """Writes a line of dollars for each call that LiteLLM charges for."""

    async def async_log_success_event(
        self, kwargs: dict[str, object], response: object, start: object, end: object
    ) -> None:
        with Path(os.environ["BENCH_LITELLM_SPEND"]).open("a") as file:
            file.write(f"{kwargs.get('response_cost') or 0}\n")


spend = Spend()
