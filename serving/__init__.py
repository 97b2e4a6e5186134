"""PlotPointe's HTTP service: loads a promoted bundle and answers recommendation requests."""
