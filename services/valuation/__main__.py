"""`python -m services.valuation`: the valuation service's command line."""

import gc

# What is made while modules are imported stays; looking for what does not takes a fifth of a start.
gc.disable()

from services.valuation.app import SERVICE
from shared.service import command_line

app = command_line(SERVICE)

if __name__ == "__main__":
    app(prog_name="worthwhile valuation")
