"""`python -m services.valuation`: the valuation service's command line."""

from services.valuation.app import SERVICE
from shared.service import command_line

app = command_line(SERVICE)

if __name__ == "__main__":
    app(prog_name="worthwhile valuation")
