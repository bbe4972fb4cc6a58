"""`playpark pos` from outside: what is wrong is one sentence on stderr and exit code 1."""

import pytest

from playpark import cli
from playpark.clock import SystemClock
from playpark.device import DeviceStore


@pytest.fixture
def refusal(monkeypatch, capsys):
    """Run the command and give what it says on stderr."""

    def run(*arguments) -> str:
        monkeypatch.setattr("sys.argv", ["playpark", "pos", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--printer", "paper"], "use tcp://host:9100"),
        (["--api", "foo"], "is not an address"),
        (["--api", "http://[x"], "is not an address"),
        (["--api", "http://u:p@host"], "is not an address"),
    ],
)
def test_wrong_configuration_is_one_sentence(tmp_path, refusal, wrong, sentence):
    said = refusal("--data", tmp_path / "till", *wrong)

    assert sentence in said
    assert said.count("\n") == 1


def test_R34_a_second_till_on_the_same_folder_is_refused(tmp_path, refusal):
    with DeviceStore.open(tmp_path / "till.db", SystemClock()):
        assert "in use by another running program" in refusal("--data", tmp_path)


def test_R34_a_damaged_file_is_one_sentence(tmp_path, refusal):
    (tmp_path / "till.db").write_bytes(b"garbage" * 1000)

    assert "damaged" in refusal("--data", tmp_path)
    assert list(tmp_path.glob("till.db.damaged-*"))
