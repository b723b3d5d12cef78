"""LiteLLM's proxy (https://github.com/BerriAI/litellm) in front of the same provider, configured as its manual says.

One worker, no database and no Redis: budgets of keys are held and counted in its memory, which is its quickest way.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import postgres
from bench.finding import Scale, Skipped
from bench.peers import installing

START_S = 180
NANOUSD = 1_000_000_000
LITELLM, CLOSED = "LiteLLM", "LiteLLM, fail-closed"


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    input_usd: int
    output_usd: int

    def columns(self) -> dict[str, int]:
        """Return the price as a row of Mission Control's list has it."""
        return {
            "input_nanousd_per_mtok": self.input_usd * NANOUSD,
            "output_nanousd_per_mtok": self.output_usd * NANOUSD,
        }


class Proxy:
    """A proxy that is starting; ``ready`` waits until it answers."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, home: Path) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.pid = process.pid
        self._process = process
        self._home = home

    def ready(self) -> "Proxy":
        """Raises Skipped when it does not start."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.base_url[:-3]}/health/liveliness", timeout=5):  # noqa: S310
                return self
            time.sleep(0.3)
        sys.stderr.write((self._home / "log").read_text()[-2_000:])
        raise Skipped(f"LiteLLM's proxy does not start within {START_S} s")

    def spend_usd(self) -> list[float]:
        """Return what it charged for each call so far."""
        file = self._home / "spend"
        return [float(line) for line in file.read_text().split()] if file.exists() else []


@contextmanager
def starting(upstream_url: str, prices: dict[str, Price], home: Path, *, fail_closed: bool = False) -> Iterator[Proxy]:
    """Start the proxy for the models with ``prices``, in the new directory ``home``.

    Raises Skipped where LiteLLM is not installed.
    """
    python = installing.installed(installing.LITELLM)
    home.mkdir(parents=True)
    (home / "litellm_auth.py").write_text((Path(__file__).parent / "litellm_auth.py").read_text())
    configuration = _configuration(upstream_url, prices, fail_closed=fail_closed)
    (home / "config.yaml").write_text(json.dumps(configuration))
    port = postgres.free_port()
    own = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "PYTHONPATH": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "BENCH_LITELLM_SPEND": str(home / "spend"),
        "NO_PROXY": "*",
    }
    # It must not outlive a measurement that is killed.
    command = ["setpriv", "--pdeathsig", "KILL", str(python.parent / "litellm"), "--host", "127.0.0.1"]
    command += [
        "--port",
        str(port),
        "--config",
        str(home / "config.yaml"),
        "--num_workers",
        "1",
        "--telemetry",
        "False",
    ]
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(command, cwd=home, env=own, stdout=log, stderr=log) as process,
    ):
        try:
            yield Proxy(process, port, home)
        finally:
            process.kill()


def _configuration(upstream_url: str, prices: dict[str, Price], *, fail_closed: bool) -> dict[str, object]:
    """Return the configuration; JSON is YAML."""
    return {
        "model_list": [_model(upstream_url, name, price) for name, price in prices.items()],
        "litellm_settings": {"num_retries": 0, "callbacks": ["litellm_auth.spend"]},
        "router_settings": {"num_retries": 0},
        "general_settings": {
            "master_key": f"sk-{secrets.token_urlsafe(32)}",
            "custom_auth": "litellm_auth.authenticate",
            "custom_auth_run_common_checks": True,
            "fail_closed_budget_enforcement": fail_closed,
        },
    }


def _model(upstream_url: str, name: str, price: Price) -> dict[str, object]:
    return {
        "model_name": name,
        "litellm_params": {"model": f"openrouter/{name}", "api_base": f"{upstream_url}/v1", "api_key": "none"},
        "model_info": {
            "mode": "chat",
            "input_cost_per_token": price.input_usd / 1e6,
            "output_cost_per_token": price.output_usd / 1e6,
            "max_input_tokens": 128_000,
            "max_output_tokens": 4_000,
            "max_tokens": 4_000,
        },
    }


@contextmanager
def both(upstream_url: str, prices: dict[str, Price], scale: Scale) -> Iterator[dict[str, Proxy]]:
    """Run a proxy as it comes and one with ``fail_closed_budget_enforcement``, by what reports call them.

    Raises Skipped where LiteLLM is not installed, and at the quick scale, for which it starts too slowly.
    """
    if scale is Scale.QUICK:
        raise Skipped("not started with --quick")
    with tempfile.TemporaryDirectory(prefix="mcc-bench-litellm-") as home, ExitStack() as stack:
        starts = {
            name: stack.enter_context(starting(upstream_url, prices, Path(home) / name, fail_closed=name == CLOSED))
            for name in (LITELLM, CLOSED)
        }
        yield {name: proxy.ready() for name, proxy in starts.items()}
