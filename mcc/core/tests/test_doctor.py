"""The examinations of an installation: what is sound is called sound, what is not comes with its remedy."""

from pathlib import Path

import pytest
from django.core.management import call_command

from mcc.core.doctor import Level, examine

pytestmark = pytest.mark.django_db


def findings():
    return dict(examine())


def test_an_installation_as_we_make_it_has_nothing_to_mend(capsys):
    found = findings()

    assert {name: finding for name, finding in found.items() if finding.level is Level.FAIL} == {}
    assert {"Database", "Migrations", "git", "Secrets", "Disk", "Books", "Sandbox"} <= {
        name for name, finding in found.items() if finding.level is Level.OK
    }
    call_command("doctor")
    assert "ok    Migrations: all applied" in capsys.readouterr().out


@pytest.mark.parametrize(("mode", "level"), [(0o700, Level.OK), (0o711, Level.OK), (0o755, Level.WARN)])
def test_a_data_directory_may_be_passed_through_but_not_read(settings, tmp_path, mode, level):
    tmp_path.chmod(mode)
    settings.DATA_DIR = Path(tmp_path)
    assert findings()["Secrets"].level is level


def test_a_redis_that_does_not_answer_is_named_and_the_exit_code_says_so(settings, capsys):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    with pytest.raises(SystemExit) as exit_:
        call_command("doctor")
    assert exit_.value.code == 1
    assert "fail  Wake-ups: Redis does not answer" in capsys.readouterr().out
