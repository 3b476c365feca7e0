from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from porchflow.cli.main import main
from porchflow.cli.processes.content_api import check_certificate
from porchflow.cli.processes.watcher import check_webhooks
from porchflow.cli.settings import Settings, SettingsError, load_settings, settings_of


def value_of(name: str, flag: object = None) -> object:
    return settings_of(Settings)[name].of(load_settings({name: flag}))


COMMANDS = ["worker", "watcher", "function-runner", "content-api"]


def test_help_says_what_a_value_is() -> None:
    told = CliRunner().invoke(main, ["worker", "--help"], terminal_width=200).output
    for flag in ("--render-slots INTEGER", "--git-timeout FLOAT", "--git-cache-dir PATH", "--kubeconfig PATH"):
        assert flag in told
    assert "--annotated-repositories-only [true|false]" in told
    assert "--log-level [DEBUG|INFO|WARNING|ERROR]" in told


def test_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.temporal.address == "127.0.0.1:7233"
    assert settings.worker.queues == ("reconcile", "render", "sync")
    assert settings.scope.namespaces == ()
    assert settings.kubeconfig is None


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("PORCHFLOW_TEMPORAL_ADDRESS", "temporal:7233", "temporal_address", "temporal:7233"),
        ("PORCHFLOW_KUBECONFIG", "/etc/kube", "kubeconfig", Path("/etc/kube")),
        ("PORCHFLOW_NAMESPACES", "a, b,", "namespaces", ("a", "b")),
        ("PORCHFLOW_QUEUES", "render", "queues", ("render",)),
        ("PORCHFLOW_RENDER_SLOTS", "3", "render_slots", 3),
        ("PORCHFLOW_HEALTH_ADDRESS", ":8081", "health_address", ":8081"),
        ("PORCHFLOW_HEALTH_ADDRESS", "[::1]:8081", "health_address", "[::1]:8081"),
        ("FUNCTION_RUNNER_ADDRESS", "runner:9445", "function_runner_address", "runner:9445"),
        ("GIT_CACHE_DIR", "/cache", "git_cache_dir", Path("/cache")),
        ("DEFAULT_IMAGE_PREFIX", "example.com/", "default_image_prefix", "example.com/"),
    ],
)
def test_a_variable_sets_a_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert value_of(field) == value


@pytest.mark.parametrize("variable", ["PORCHFLOW_KUBECONFIG", "GIT_CACHE_DIR", "PORCHFLOW_RENDER_SLOTS"])
def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")
    assert load_settings() == Settings()
    assert load_settings().git.cache_dir != Path()


@pytest.mark.parametrize(
    ("variable", "field"),
    [("PORCHFLOW_LOG_LEVEL", "log_level"), ("FUNCTION_RUNNER_ADDRESS", "function_runner_address")],
)
def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, field: str) -> None:
    values = {"log_level": ("DEBUG", "ERROR"), "function_runner_address": ("env:1", "flag:1")}[field]
    monkeypatch.setenv(variable, values[0])
    assert value_of(field) == values[0]
    assert value_of(field, values[1]) == values[1]
    assert value_of(field, None) == values[0], "a flag that is not given is no value"


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("PORCHFLOW_RENDR_SLOTS", ": did you mean PORCHFLOW_RENDER_SLOTS?"),
        ("PORCHFLOW_GIT_CACHE_DIR", ": did you mean GIT_CACHE_DIR?"),
        ("PORCHFLOW_FUNCTION_RUNNER_ADDRESS", ": did you mean FUNCTION_RUNNER_ADDRESS?"),
        ("PORCHFLOW_XYZZY_12345", "; known are: "),
    ],
)
def test_an_unknown_variable_stops_the_start_and_the_known_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, "3")
    with pytest.raises(SettingsError, match=f"unknown setting {variable} ") as raised:
        load_settings()
    assert "PORCHFLOW_RENDER_SLOTS" in raised.value.message
    assert "GIT_CACHE_DIR" in raised.value.message
    assert f"in the environment{nearest}" in raised.value.message
    assert raised.value.exit_code == 2


def test_variables_of_the_embedded_stack_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCHFLOW_STATE_DIR", "/somewhere")
    load_settings()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("render_slots", "many", "PORCHFLOW_RENDER_SLOTS (--render-slots): Input should be a valid integer"),
        ("render_slots", "0", "greater than or equal to 1"),
        ("queues", "render,rendr", "PORCHFLOW_QUEUES (--queues)"),
        ("queues", ",", "PORCHFLOW_QUEUES (--queues)"),
        ("log_level", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR', got 'LOUD'"),
        ("git_timeout", "-1", "PORCHFLOW_GIT_TIMEOUT (--git-timeout): Input should be greater than 0"),
        ("temporal_address", "temporal", "PORCHFLOW_TEMPORAL_ADDRESS (--temporal-address): give host:port"),
        ("temporal_address", "https://temporal:7233", "give host:port"),
        ("health_address", "localhost:99999", "give host:port"),
        (
            "temporal_ui_url",
            "temporal.example.com",
            "PORCHFLOW_TEMPORAL_UI_URL (--temporal-ui-url): String should match",
        ),
        ("function_runner_address", "runner", "FUNCTION_RUNNER_ADDRESS (--function-runner-address): give host:port"),
    ],
)
def test_a_bad_value_stops_the_start_and_says_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, field: str, value: str, told: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({field: value})
    assert told in raised.value.message
    monkeypatch.setenv(settings_of(Settings)[field].variable, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert told in raised.value.message


def test_every_bad_value_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({"render_slots": "x", "log_level": "LOUD"})
    assert len(raised.value.message.splitlines()) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_variable_of_every_flag(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"], terminal_width=200)
    assert result.exit_code == 0
    options = [line.split()[0] for line in result.output.splitlines() if line.strip().startswith("--")]
    variables = [setting.variable for setting in settings_of(Settings).values() if setting.flag in options]
    assert len(variables) == len(options) > 0, "all but -h are settings"
    text = " ".join(result.output.split())
    assert all(f"env {variable}" in text for variable in variables)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_with_a_bad_setting_ends_with_two_and_one_message(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--log-level", "LOUD"])
    assert result.exit_code == 2
    assert result.output.startswith("Error: PORCHFLOW_LOG_LEVEL (--log-level)")
    assert "Traceback" not in result.output


def test_every_setting_is_a_flag_of_some_command() -> None:
    help_texts = [CliRunner().invoke(main, [command, "--help"], terminal_width=200).output for command in COMMANDS]
    # Whoever sees the processes of a machine sees their flags.
    known = settings_of(Settings).values()
    secrets = [setting for setting in known if setting.field.annotation is SecretStr]
    assert [setting for setting in known if not any(f"{setting.flag} " in text for text in help_texts)] == secrets
    for secret in secrets:
        assert any(secret.variable in " ".join(text.split()) for text in help_texts), f"{secret.variable} is told of"


def test_the_content_api_needs_one_way_to_a_certificate(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    with pytest.raises(SettingsError, match=r"PORCHFLOW_CONTENT_TLS_CERT .*or set PORCHFLOW_CONTENT_SERVICE"):
        check_certificate(load_settings().content)
    files = {"content_tls_cert": certificate, "content_tls_key": key}
    with pytest.raises(SettingsError, match="there is no file"):
        check_certificate(load_settings(files).content)
    certificate.touch()
    with pytest.raises(SettingsError, match=r"PORCHFLOW_CONTENT_TLS_KEY .*give a PEM file"):
        check_certificate(load_settings({"content_tls_cert": certificate}).content)
    key.touch()
    check_certificate(load_settings(files).content)
    check_certificate(load_settings({"content_service": "porch-system/api"}).content)
    with pytest.raises(SettingsError, match="unset it, or PORCHFLOW_CONTENT_TLS_CERT"):
        check_certificate(load_settings({**files, "content_service": "porch-system/api"}).content)
    with pytest.raises(SettingsError, match="PORCHFLOW_CONTENT_SERVICE"):
        load_settings({"content_service": "api"})


@pytest.mark.parametrize("secret", [None, "", "short", "a-secret-that-is-long-enough,short"])
def test_webhooks_need_a_secret(monkeypatch: pytest.MonkeyPatch, secret: str | None) -> None:
    monkeypatch.setenv("PORCHFLOW_WEBHOOK_ADDRESS", "127.0.0.1:8082")
    if secret is not None:
        monkeypatch.setenv("PORCHFLOW_WEBHOOK_SECRET", secret)
    with pytest.raises(SettingsError, match="PORCHFLOW_WEBHOOK_SECRET: webhooks need a secret of at least") as caught:
        check_webhooks(load_settings().watcher)
    assert not secret or secret not in str(caught.value)


def test_secrets_of_webhooks_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    check_webhooks(load_settings().watcher)
    monkeypatch.setenv("PORCHFLOW_WEBHOOK_ADDRESS", "127.0.0.1:8082")
    monkeypatch.setenv("PORCHFLOW_WEBHOOK_SECRET", "the-first-secret-word, the-second-secret-word\n")
    settings = load_settings().watcher
    check_webhooks(settings)
    assert list(settings.webhook_secrets) == ["the-first-secret-word", "the-second-secret-word"]
    assert "secret-word" not in f"{settings!r} {load_settings()!r} {load_settings()}"
