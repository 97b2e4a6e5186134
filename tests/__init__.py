"""PlotPointe's tests."""
