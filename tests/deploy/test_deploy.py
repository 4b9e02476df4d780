"""Every port, path, variable and command in the deployment files exists in the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

from services.goals.app import SERVICE as GOALS
from services.metrics.app import SERVICE as METRICS
from services.valuation.app import SERVICE as VALUATION
from shared.service import command_line

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
SERVICES = {"goals": GOALS, "metrics": METRICS, "valuation": VALUATION}


def variables(service: str) -> set[str]:
    return {f"{service.upper()}_{name.upper()}" for name in SERVICES[service].settings.model_fields}


def verbs(service: str) -> set[str]:
    return {
        str(c.name or c.callback.__name__)
        for c in command_line(SERVICES[service]).registered_commands
        if c.callback
    }


def port(service: str) -> int:
    default: int = SERVICES[service].settings.model_fields["port"].default
    return default


def documents() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text())


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents():
        if document["kind"] in ("Job", "Deployment"):
            service = document["metadata"]["name"].removesuffix("-migrate")
            for container in document["spec"]["template"]["spec"]["containers"]:
                yield service, container


@pytest.mark.parametrize(
    "path", [p for p in MANIFESTS if p.stem != "kustomization"], ids=lambda p: p.stem
)
def test_the_manifests_fit_the_kubernetes_schemas(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        validate(document, "1.34", strict=True)


def test_the_kustomization_names_every_manifest() -> None:
    listed = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yaml").read_text())[
        "resources"
    ]
    assert sorted([*listed, "kustomization.yaml"]) == [p.name for p in MANIFESTS]


def test_the_manifests_use_ports_variables_and_verbs_that_exist() -> None:
    seen = set()
    for service, container in containers():
        seen.add(service)
        assert {e["name"] for e in container["env"]} <= variables(service)
        assert set(container["args"]) <= verbs(service)
        for opened in container.get("ports", []):
            assert opened["containerPort"] == port(service)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["path"] in ("/livez", "/readyz")
        assert container["securityContext"]["readOnlyRootFilesystem"]
    assert seen == set(SERVICES)


def test_the_services_manifests_point_at_the_ports_that_are_listened_on() -> None:
    for document in documents():
        if document["kind"] == "Service":
            assert document["spec"]["ports"][0]["port"] == port(document["metadata"]["name"])


def test_the_compose_file_uses_what_exists() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, described in compose.items():
        service = name.removesuffix("-migrate")
        if service not in SERVICES:
            continue
        assert set(described["environment"]) <= variables(service)
        assert set(described.get("command", [])) <= verbs(service)
        assert described["build"]["args"] == {"SERVICE": service}
        assert (ROOT / described["build"]["dockerfile"]).is_file()
        assert described["environment"][f"{service.upper()}_PORT"] == str(port(service))
    for described in compose.values():
        for volume in described.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists()


def test_the_gateway_passes_on_to_the_ports_that_are_listened_on() -> None:
    found = re.findall(r"http://(\w+):(\d+)/", (ROOT / "deploy/gateway.conf").read_text())
    assert {(s, int(p)) for s, p in found} == {(s, port(s)) for s in SERVICES}


def test_the_image_copies_what_exists_and_only_its_own_service() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE):
        for service in SERVICES:
            assert (ROOT / source.replace("${SERVICE}", service)).exists()
    assert "COPY services/${SERVICE} " in text
    assert "USER 10001" in text
