"""What machines and electricity cost, as configuration."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from pipeline.errors import ConfigError, suggest
from pipeline.measure.energy.account import Price
from pipeline.sections import Section, read_yaml, validated


class MachinePrice(Section):
    """One kind of machine in one place."""

    hourly: float = Field(ge=0)
    """Money for an hour of it."""
    place: str | None = None
    """Where, as ``plotpointe carbon regions`` names places."""
    electricity: bool = True
    """Whether the hour includes electricity; a machine of one's own does not."""
    source: str
    """Who says so."""
    date: str
    """Of what day."""


class Electricity(Section):
    """What a kilowatt-hour costs where machines of one's own stand."""

    per_kwh: float = Field(ge=0)
    source: str
    date: str


class Prices(Section):
    """The price table."""

    currency: str = "USD"
    """Of every number here."""
    machine: str
    """The machine that runs are priced by where none is named."""
    electricity: Electricity
    machines: Mapping[str, MachinePrice]

    def of(self, machine: str | None = None) -> Price:
        """Return the price of a machine, of the usual one by default.

        Raises:
            ConfigError: the table has no such machine.
        """
        name = machine or self.machine
        if name not in self.machines:
            known = [*self.machines]
            raise ConfigError(
                f"no price is known for machine {name!r}{suggest(name, known)}; known: {known}. "
                f"Add it to a table of your own: --prices FILE"
            )
        found = self.machines[name]
        per_kwh = 0.0 if found.electricity else self.electricity.per_kwh
        return Price(name, found.hourly, per_kwh)


def load_prices(path: Path) -> Prices:
    """Return the price table of a YAML file.

    Raises:
        ConfigError: no such file, an unknown key or a bad value.
    """
    return validated(Prices, read_yaml(path, [*Prices.model_fields]), str(path))
