"""Wiring: intake, workflow, delivery, processing. No formula and no tag lives here."""
