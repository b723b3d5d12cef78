import re
import signal
import subprocess
import sys

import requests
from django.conf import settings


def test_contributors_get_a_github_to_try_things_with():
    command = [sys.executable, "manage.py", "githubsim", "--port", "0", "--repository", "bea/globe"]
    command += ["--weather", "lost=0.1,twice=0.2,late_s=0.5,seed=3"]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True)
    try:
        said = "".join(process.stdout.readline() for _ in range(3))
        url, token = re.search(r"http://127\.0\.0\.1:\d+/api/v3", said)[0], re.search(r"github_pat_\w+", said)[0]
        answer = requests.get(f"{url}/repos/bea/globe/branches", headers={"Authorization": f"token {token}"}, timeout=5)
        assert [branch["name"] for branch in answer.json()] == ["main"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0
