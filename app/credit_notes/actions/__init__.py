"""Actions that make credit notes. They know no HTTP."""
