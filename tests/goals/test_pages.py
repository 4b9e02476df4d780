"""Pages without scripts, in the reader's language; links that show one to people outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from services.goals.domain import share as domain
from services.goals.domain.share import Share
from tests.goals.test_scorecard import state_goals
from tests.support.house import House, Key

SOON = (datetime.now(UTC) + timedelta(days=7)).isoformat()
PAGES = (
    "/v1/scorecard/page",
    "/v1/initiatives/{}/scorecard/page",
    "/v1/initiatives/{}/roadmap/page",
)


def page(key: Key, path: str, language: str = "en") -> str:
    answer = key.send("GET", "goals", path, headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-language"] == language
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_no_script_and_has_what_screen_readers_need(key: Key, path: str) -> None:
    initiative, _ = state_goals(key)
    text = page(key, path.format(initiative))
    assert "<script" not in text
    assert '<html lang="en">' in text
    assert 'name="viewport"' in text
    assert text.count("<h1>") == 1
    assert 'scope="col"' in text
    assert "ann wins more" in text


def test_what_people_wrote_is_escaped(key: Key) -> None:
    name = "<img src=x onerror=alert(1)>"
    initiative = key.post("goals", "/v1/initiatives", {"name": name})["id"]
    text = page(key, f"/v1/initiatives/{initiative}/scorecard/page")
    assert "<img" not in text
    assert "&lt;img" in text


@pytest.mark.parametrize(
    ("language", "words"),
    [("sv", "Vad som behöver uppmärksamhet"), ("fr", "À surveiller"), ("ru", "Требует внимания")],
)
def test_a_page_speaks_the_readers_language(key: Key, language: str, words: str) -> None:
    initiative, _ = state_goals(key)
    text = page(key, f"/v1/initiatives/{initiative}/scorecard/page", language)
    assert words in text
    assert f'<html lang="{language}">' in text


@pytest.fixture
def shared(house: House, key: Key) -> Key:
    house.settings["goals"].service_keys[str(key.tenant_id)] = SecretStr(key.key)
    return key


def share(key: Key, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = key.post(
        "goals", "/v1/shares", {"name": "Lobby", "expires_at": SOON, **more}
    )
    return made


def test_a_link_shows_the_scorecard_until_it_is_revoked(house: House, shared: Key) -> None:
    initiative, _ = state_goals(shared)
    link = share(shared, initiative_id=initiative)
    outside = house.clients["goals"]
    found = outside.get(link["path"])
    assert (found.status_code, found.headers["cache-control"]) == (200, "no-store")
    assert "ann wins more" in found.text
    outside.get(link["path"])
    (told,) = shared.get("goals", "/v1/shares")["items"]
    assert (told["looks"], told["revoked"]) == (1, None)
    assert "path" not in told
    shared.post("goals", f"/v1/shares/{link['id']}/revoke", {"reason": "The screen is gone"})
    assert outside.get(link["path"]).status_code == 404
    again = {"reason": "Twice"}
    shared.refused(409, "POST", "goals", f"/v1/shares/{link['id']}/revoke", json=again)
    feed = str(shared.get("goals", "/v1/feed")["items"])
    assert link["path"].rsplit("/", 1)[1] not in feed, "the secret is kept nowhere"


def test_what_is_no_link_shows_nothing(house: House, shared: Key) -> None:
    link = share(shared)
    outside = house.clients["goals"]
    token = link["path"].rsplit("/", 1)[1]
    for wrong in (token[:-2] + "AA", token[:10], "x", re.sub("[A-Za-z]", "A", token), "%E4"):
        answer = outside.get(f"/v1/shared/{wrong}")
        assert answer.status_code == 404, wrong
        assert answer.json()["detail"] == "This link does not exist, has expired or was revoked."


@pytest.mark.parametrize(
    "slip", [{"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "2999-01-01T00:00:00Z"},
             {"initiative_id": "0" * 36}, {"name": ""}],
)  # fmt: skip
def test_a_link_that_makes_no_sense_is_not_made(shared: Key, slip: dict[str, Any]) -> None:
    body = {"name": "Lobby", "expires_at": SOON, **slip}
    assert shared.send("POST", "goals", "/v1/shares", json=body).status_code in (404, 422)
    assert shared.get("goals", "/v1/shares")["items"] == []


def test_without_a_key_of_its_own_the_service_shares_nothing(key: Key) -> None:
    problem = key.refused(409, "POST", "goals", "/v1/shares",
                          json={"name": "Lobby", "expires_at": SOON})  # fmt: skip
    assert "GOALS_SERVICE_KEYS" in problem["detail"]


def test_an_expired_link_opens_nothing_and_looks_are_told_once_a_minute() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    state = Share(record_id="s", initiative_id="", revision=1, name="Lobby", digest="d",
                  expires_at=now)  # fmt: skip
    second = timedelta(seconds=1)
    assert state.opens(now - second)
    assert not state.opens(now)
    looked = domain.look(state, now)
    assert looked is not None
    state = domain.evolve(state, looked)
    assert domain.look(state, now + 59 * second) is None
    assert domain.look(state, now + 60 * second) is not None


def test_a_roadmap_has_everything_on_one_axis(key: Key) -> None:
    initiative, _ = state_goals(key, 1)
    key.send("PATCH", "goals", f"/v1/initiatives/{initiative}", json={
        "go_live": "2026-02-01", "reason": "Planned",
        "phases": [{"name": "South", "starts_on": "2026-01-10", "go_live": "2026-03-01",
                    "ends_on": "2026-04-01"}],
    })  # fmt: skip
    key.post("goals", "/v1/goals", {
        "kind": "deliverable", "initiative_id": initiative, "title": "Interfaces",
        "due": "2029-05-01", "phase": "South", "area": "IT",
        "steps": [{"title": "Contract", "due": "2026-01-05"}],
    })  # fmt: skip
    key.post("goals", "/v1/v2moms", {
        "initiative_id": initiative, "period": "2026", "vision": "Known", "values": ["Trust"],
        "methods": [{"text": "Clean addresses", "due": "2026-01-02"}, {"text": "Some day"}],
    })  # fmt: skip
    found = key.get("goals", f"/v1/initiatives/{initiative}/roadmap")
    bars = {(bar["kind"], bar["title"]): (bar["begins"], bar["ends"]) for bar in found["bars"]}
    assert bars == {
        ("go_live", "CRM"): ("2026-02-01", "2026-02-01"),
        ("phase", "South"): ("2026-01-10", "2026-04-01"),
        ("go_live", "South"): ("2026-03-01", "2026-03-01"),
        ("goal", "ann wins more"): ("2025-07-01", "2027-12-31"),
        ("goal", "Interfaces"): ("2026-01-05", "2029-05-01"),
        ("milestone", "Contract"): ("2026-01-05", "2026-01-05"),
        ("method", "Clean addresses"): ("2026-01-02", "2026-01-02"),
    }
    assert (found["begins"], found["ends"]) == ("2025-07-01", "2029-05-01")
