"""`worthwhile up`: run everything on this machine, with or without the demonstration."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.local.demonstration import Demonstration
from services.local.processes import (
    SERVICES,
    CannotStart,
    Place,
    Services,
    State,
    clear,
    held,
    write_private,
)
from services.local.summary import show_addresses, show_summary
from shared.errors import Refusal
from shared.settings import is_loopback

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()


class _Stopped(Exception):
    """Somebody asked us to end."""


@app.command()
def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="Load the demonstration, on simulated time")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Do it, print the summary, and end")] = False,
    simulate: Annotated[bool, typer.Option("--simulate", help="Run on a simulated clock")] = False,
    data_dir: Annotated[
        Path, typer.Option(envvar="WORTHWHILE_DATA_DIR", help="Where the databases live")
    ] = Path(".worthwhile"),
    port_base: Annotated[
        int,
        typer.Option(
            envvar="WORTHWHILE_PORT_BASE",
            min=1,
            max=65533,
            help="First port: goals, metrics, valuation",
        ),
    ] = 8001,
    host: Annotated[
        str, typer.Option(envvar="WORTHWHILE_HOST", help="Address to listen on")
    ] = "127.0.0.1",
) -> None:
    """Run the three services on this machine until Ctrl-C."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        _up(Place(data_dir.resolve(), host, port_base), demo=demo, once=once, simulate=simulate)
    except CannotStart as error:
        console.print(
            f"worthwhile: {error}", style="red", highlight=False, markup=False, soft_wrap=True
        )
        raise typer.Exit(1) from error
    except _Stopped:
        raise typer.Exit(0) from None


def _stop(*_: object) -> None:
    # A second signal must not interrupt the stopping, or services would be left running.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _Stopped


def _up(place: Place, *, demo: bool, once: bool, simulate: bool) -> None:
    if not is_loopback(place.host):
        raise CannotStart(
            f"{place.host} is reachable from outside; `up` is for this machine only. Deploy with "
            "AUTH=keys instead (docs/operating.md)."
        )
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with held(place.folder):
        _run_services(place, demo=demo, once=once, simulate=simulate)


def _run_services(place: Place, *, demo: bool, once: bool, simulate: bool) -> None:
    simulate = _settle_mode(place, demo=demo, simulate=simulate)
    described = place.folder / "dev.json"
    described.unlink(missing_ok=True)
    services = Services(place, simulate=simulate)
    try:
        services.prepare()
        services.start()
        key = services.state.content["api_key"]
        addresses = {service: place.url(service) for service in SERVICES}
        write_private(described, {**addresses, "api_key": key})
        if demo:
            _demonstrate(services, addresses, key)
        show_addresses(console, addresses, key, place.folder)
        if not once:
            console.print("Serving; Ctrl-C ends it.")
            _watch(services)
    finally:
        services.stop()
        if not once:
            described.unlink(missing_ok=True)


def _settle_mode(place: Place, *, demo: bool, simulate: bool) -> bool:
    """Whether time is simulated here; a folder keeps the mode in which it began."""
    content = State(place.folder).content
    if demo and content.get("demonstration") == "loading":
        # A demonstration that was cut off holds nothing of anybody's; it begins anew.
        clear(place.folder)
        return True
    if "simulated" not in content:
        return demo or simulate
    if (demo or simulate) and not content["simulated"]:
        raise CannotStart(
            f"{place.folder} holds data in real time; choose another --data-dir for simulated time."
        )
    if demo and content.get("demonstration") != "loaded":
        raise CannotStart(
            f"{place.folder} holds other data; choose another --data-dir for the demonstration."
        )
    return bool(content["simulated"])


def _demonstrate(services: Services, addresses: dict[str, str], key: str) -> None:
    demonstration = Demonstration(addresses, key)
    try:
        if services.state.content.get("demonstration") != "loaded":
            services.state.save(demonstration="loading")
            found = demonstration.load(console)
            services.state.save(demonstration="loaded", found=found)
        demonstration.arrive()
        show_summary(console, demonstration, services.state.content["found"])
    except Refusal as refusal:
        raise CannotStart(f"The demonstration failed: {refusal.detail}") from refusal


def _watch(services: Services) -> None:
    while True:
        time.sleep(0.5)
        fallen = services.fallen()
        if fallen is not None:
            raise CannotStart(f"{fallen} has stopped; see {services.place.folder / fallen}.log")


if __name__ == "__main__":
    app(prog_name="worthwhile up")
