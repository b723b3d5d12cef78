"""One task of mini-swe-agent (https://github.com/SWE-agent/mini-swe-agent), run by the Python of its own venv.

``python mini.py MODEL_URL DIRECTORY local|bubblewrap [TRAJECTORY]``: its own loop, its own ``litellm`` model with
native tool calls, one of its own environments (``local`` has no sandbox) and the prompts of its ``mini.yaml``; with
TRAJECTORY it saves that after every step, as its command line does. It says when it is ready, and begins when it is
sent a line.
"""

import sys
from pathlib import Path

import yaml  # type: ignore[import-untyped,unused-ignore]
from minisweagent import package_dir  # type: ignore[import-not-found,unused-ignore]
from minisweagent.agents.default import DefaultAgent  # type: ignore[import-not-found,unused-ignore]
from minisweagent.environments.extra.bubblewrap import (  # type: ignore[import-not-found,unused-ignore]
    BubblewrapEnvironment,
)
from minisweagent.environments.local import LocalEnvironment  # type: ignore[import-not-found,unused-ignore]
from minisweagent.models.litellm_model import LitellmModel  # type: ignore[import-not-found,unused-ignore]

MODEL = "openai/gpt-4o"
"""A name that litellm knows, or it spends milliseconds on not finding it."""


ENVIRONMENTS = {"local": LocalEnvironment, "bubblewrap": BubblewrapEnvironment}


def main(url: str, directory: str, environment_name: str, trajectory: str = "") -> None:
    config = yaml.safe_load((Path(package_dir) / "config" / "mini.yaml").read_text())
    known = {"system_template", "instance_template"}
    templates = {name: text for name, text in config["agent"].items() if name in known}
    own = {
        "model_name": MODEL,
        "model_kwargs": {"api_base": url, "api_key": "none", "drop_params": True},
    }
    model = LitellmModel(**config["model"] | own)
    environment = ENVIRONMENTS[environment_name](**{**config["environment"], "cwd": directory})
    path = Path(trajectory) if trajectory else None
    agent = DefaultAgent(model, environment, **templates, cost_limit=0, output_path=path)
    print("ready", flush=True)
    sys.stdin.readline()
    ended = agent.run("Carry out the commands, then submit.")
    assert ended["exit_status"] == "Submitted", ended


if __name__ == "__main__":
    main(*sys.argv[1:])
