"""The parts of the audit record that know HTTP."""
