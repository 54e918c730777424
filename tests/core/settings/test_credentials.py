"""What is written or said holds no password."""

import pytest

from metrifier_core.settings.credentials import without_credentials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://me:s3cret@127.0.0.1:9", "http://127.0.0.1:9"),
        ("request to https://token@host/api/2.0 failed: try", "request to https://host/api/2.0 failed: try"),
        ("postgresql+psycopg2://mlflow:p@ss:w@database/mlflow", "postgresql+psycopg2://database/mlflow"),
        ("http://a:b@c/d and http://e:f@g/h", "http://c/d and http://g/h"),
        ("http://host/path@2x.png?mail=me@there.org", "http://host/path@2x.png?mail=me@there.org"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("write to me@there.org", "write to me@there.org"),
    ],
)
def test_user_and_password_are_left_out_of_every_url(text: str, expected: str) -> None:
    assert without_credentials(text) == expected
