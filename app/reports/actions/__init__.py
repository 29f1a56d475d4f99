"""Actions of reports, without HTTP."""
